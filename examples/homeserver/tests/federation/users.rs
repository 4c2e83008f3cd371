//! Users of a server: profiles, device keys, files.

use std::collections::BTreeMap;

use bytes::Bytes;
use comity_core::{
    api::{Calls, ClaimKeys, DownloadMedia, QueryKeys, QueryProfile},
    call::BlobSource,
    endpoint::Query,
    json::{Json, Members, Value},
};
use comity_homeserver::{Device, File, User};
use futures_util::TryStreamExt;
use serde_json::json;

use crate::setting::{House, Street, answered, object};

fn with_alice(house: &House) -> String {
    let key = |name: &str| object(json!({ "key": name })).to_value();
    let keys = |names: &[&str]| -> BTreeMap<String, Value> {
        let named = names
            .iter()
            .map(|name| (format!("signed_curve25519:{name}"), key(name)));
        named.collect()
    };
    let phone = Device {
        keys: object(json!({"device_id": "PHONE"})).to_value(),
        one_time_keys: keys(&["A", "B"]),
        fallback_keys: keys(&["F"]),
    };
    let laptop = Device {
        keys: object(json!({"device_id": "LAPTOP"})).to_value(),
        one_time_keys: keys(&["C"]),
        fallback_keys: BTreeMap::new(),
    };
    let user = User {
        display_name: Some("Alice".to_owned()),
        avatar_url: Some("mxc://one.example/alice".to_owned()),
        devices: [("PHONE".to_owned(), phone), ("LAPTOP".to_owned(), laptop)].into(),
        master_key: Some(key("master")),
        self_signing_key: None,
    };
    let id = house.user("alice");
    house.server.add_user(id.clone(), user);
    id.to_string()
}

async fn claim(from: &House, to: &House, user: &str, device: &str) -> Option<String> {
    let wanted = BTreeMap::from([(device.to_owned(), "signed_curve25519".to_owned())]);
    let request = ClaimKeys {
        one_time_keys: Json::write(&BTreeMap::from([(user.to_owned(), wanted)])).unwrap(),
        extra: Members::new(),
        extra_query: Query::default(),
    };
    let reply = from.client.claim_keys(to.name(), request).await.unwrap();
    let claimed = reply.one_time_keys.unwrap().read().unwrap();
    let keys = claimed.get(user)?.get(device)?;
    assert_eq!(keys.len(), 1);
    keys.keys().next().cloned()
}

#[tokio::test]
async fn each_one_time_key_is_claimed_once() {
    let (one, two) = Street::of_two();
    let alice = with_alice(&one);
    let mut claimed = Vec::new();
    for _ in 0..4 {
        claimed.push(claim(&two, &one, &alice, "PHONE").await.unwrap());
    }
    let expected = ["A", "B", "F", "F"].map(|name| format!("signed_curve25519:{name}"));
    assert_eq!(claimed, expected, "two keys, then the fallback key");
    assert!(claim(&two, &one, &alice, "LAPTOP").await.is_some());
    assert_eq!(claim(&two, &one, &alice, "LAPTOP").await, None);
}

#[tokio::test]
async fn device_keys_are_given_for_the_devices_that_are_named_or_for_all() {
    let (one, two) = Street::of_two();
    let alice = with_alice(&one);
    for (devices, expected) in [(vec![], 2), (vec!["PHONE".to_owned()], 1)] {
        let wanted = BTreeMap::from([
            (alice.clone(), devices),
            ("@nobody:one.example".to_owned(), vec![]),
        ]);
        let request = QueryKeys {
            device_keys: Json::write(&wanted).unwrap(),
            extra: Members::new(),
            extra_query: Query::default(),
        };
        let reply = two.client.query_keys(one.name(), request).await.unwrap();
        let devices = reply.device_keys.unwrap().read().unwrap();
        assert_eq!(devices.len(), 1);
        assert_eq!(devices[&alice].len(), expected);
        assert!(
            reply
                .master_keys
                .unwrap()
                .read()
                .unwrap()
                .contains_key(&alice)
        );
    }
}

#[tokio::test]
async fn a_profile_is_given_whole_or_by_field() {
    let (one, two) = Street::of_two();
    let alice = with_alice(&one);
    let ask = async |user_id: &str, field: Option<&str>| {
        let request = QueryProfile {
            user_id: user_id.to_owned(),
            field: field.map(str::to_owned),
            extra_query: Query::default(),
        };
        two.client.query_profile(one.name(), request).await
    };
    let whole = ask(&alice, None).await.unwrap();
    assert_eq!(whole.displayname.as_deref(), Some("Alice"));
    assert!(whole.avatar_url.is_some());
    let field = ask(&alice, Some("displayname")).await.unwrap();
    assert_eq!(field.displayname.as_deref(), Some("Alice"));
    assert_eq!(field.avatar_url, None);
    let error = answered(ask("@nobody:one.example", None).await);
    assert_eq!(
        (error.http_status(), error.errcode()),
        (404, Some("M_NOT_FOUND"))
    );
}

#[tokio::test]
async fn a_file_arrives_whole_with_its_type() {
    let (one, two) = Street::of_two();
    let bytes: Bytes = (0..200_000_u32).map(|number| number as u8).collect();
    let file = File {
        content_type: "image/png".to_owned(),
        content_disposition: None,
        bytes: bytes.clone(),
    };
    one.server.add_file("mascot", file);
    let request = |media_id: &str| DownloadMedia {
        media_id: media_id.to_owned(),
        ..DownloadMedia::default()
    };
    let blob = two
        .client
        .download_media(one.name(), request("mascot"))
        .await;
    let blob = blob.unwrap();
    let BlobSource::Here { content_type, .. } = &blob.source else {
        panic!("{blob:?}");
    };
    assert_eq!(content_type.as_deref(), Some("image/png"));
    let chunks: Vec<Bytes> = blob.bytes.try_collect().await.unwrap();
    assert_eq!(chunks.concat(), bytes);
    let error = answered(
        two.client
            .download_media(one.name(), request("other"))
            .await,
    );
    assert_eq!(error.errcode(), Some("M_NOT_FOUND"));
}
