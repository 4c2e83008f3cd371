//! What the table's calls of media, rooms, binds and policy are sent as where they are answered as unknown.

use bytes::Bytes;
use comity_core::{
    api::{DownloadMedia, DownloadThumbnail, GetHierarchy, NotifyThirdPartyBind, PolicySign},
    call::BlobSource,
    endpoint::Query,
    layers::Fallbacks,
};
use futures_util::TryStreamExt;

use crate::{
    fallback::{Seen, client, peer, send},
    homeserver::pdu,
};

#[tokio::test]
async fn media_and_other_spellings_fall_back_in_order() {
    let seen = Seen::default();
    let client = client(peer(&seen, Vec::new()), Fallbacks::federation());
    let lines = || -> Vec<String> {
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        seen.into_iter().map(|(line, ..)| line).collect()
    };

    let file = DownloadMedia {
        media_id: "a/b".to_owned(),
        timeout_ms: Some(5),
        ..DownloadMedia::default()
    };
    send(&client, file).await.unwrap_err();
    let legacy = "/b.example/a%2Fb?allow_remote=false&timeout_ms=5";
    assert_eq!(
        lines(),
        [
            "GET /_matrix/federation/v1/media/download/a%2Fb?timeout_ms=5".to_owned(),
            format!("GET /_matrix/media/v3/download{legacy}"),
            format!("GET /_matrix/media/r0/download{legacy}"),
            format!("GET /_matrix/media/v1/download{legacy}"),
        ]
    );

    let picture = DownloadThumbnail {
        media_id: "x".to_owned(),
        width: 96,
        height: 48,
        method: Some("crop".to_owned()),
        animated: Some(true),
        ..DownloadThumbnail::default()
    };
    send(&client, picture).await.unwrap_err();
    let legacy =
        "thumbnail/b.example/x?width=96&height=48&method=crop&allow_remote=false&animated=true";
    assert_eq!(
        lines()[1..],
        ["v3", "r0", "v1"].map(|version| format!("GET /_matrix/media/{version}/{legacy}"))
    );

    let bind = NotifyThirdPartyBind::default();
    send(&client, bind).await.unwrap_err();
    let onbind = "/_matrix/federation/v1/3pid/onbind";
    assert_eq!(lines(), [format!("PUT {onbind}"), format!("POST {onbind}")]);

    let hierarchy = GetHierarchy {
        room_id: "!r".to_owned(),
        ..GetHierarchy::default()
    };
    send(&client, hierarchy).await.unwrap_err();
    assert_eq!(
        lines()[1..],
        ["GET /_matrix/federation/unstable/org.matrix.msc2946/hierarchy/%21r"]
    );

    let sign = PolicySign {
        event: pdu("{}"),
        extra_query: Query::default(),
    };
    send(&client, sign).await.unwrap_err();
    assert_eq!(
        lines()[1..],
        ["POST /_matrix/policy/unstable/org.matrix.msc4284/sign"]
    );
}

/// The bytes of before v1.11 are a file like any other.
#[tokio::test]
async fn a_file_of_an_older_server_arrives_as_one() {
    let seen = Seen::default();
    let peer = peer(&seen, vec![("GET /_matrix/media/r0/", Ok(()))]);
    let client = client(peer, Fallbacks::federation());
    let file = DownloadMedia {
        media_id: "x".to_owned(),
        ..DownloadMedia::default()
    };
    let blob = send(&client, file).await.unwrap();
    assert!(blob.metadata.is_empty());
    let here = BlobSource::Here {
        content_type: Some("image/png".to_owned()),
        content_disposition: Some("inline".to_owned()),
    };
    assert_eq!(blob.source, here);
    let bytes: Vec<Bytes> = blob.bytes.try_collect().await.unwrap();
    assert_eq!(bytes.concat(), b"meow");
    assert_eq!(seen.lock().unwrap().len(), 3);
}
