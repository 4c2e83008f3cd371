//! What the profile does not have.

use comity_core::{
    Operations,
    api::{Calls, DownloadMedia, GetServerKeys, GetVersion, QueryProfile},
    call::{Edition, operation},
    error::CallError,
};
use mimi_profile::{operations, versions};

use crate::setting::{Api, BINDINGS, Town};

#[test]
fn the_profile_is_three_groups_and_the_keys() {
    let profile = operations();
    let keys = operation::<GetServerKeys>();
    for taken in profile.iter().filter(|taken| *taken != keys) {
        let spec = taken.spec();
        assert!(
            ["Transactions", "Events", "Membership"].contains(&spec.group),
            "{}",
            spec.name
        );
        assert!(spec.edition(Edition::Ietf).is_some());
    }
    assert!(profile.contains(keys));
    assert!(profile.iter().len() < Operations::federation().iter().len());
}

#[tokio::test]
async fn what_lies_outside_is_unrecognized_over_each_binding() {
    for binding in BINDINGS {
        let town = Town::new(binding);
        let profile = town
            .move_in("profile.example", Api::Profile, versions())
            .await;
        let full = town.move_in("full.example", Api::Full, versions()).await;
        let (client, them) = (&full.client, profile.name());
        let refused = [
            client
                .get_version(them, GetVersion::default())
                .await
                .map(drop),
            client
                .query_profile(
                    them,
                    QueryProfile {
                        user_id: "@a:profile.example".to_owned(),
                        ..QueryProfile::default()
                    },
                )
                .await
                .map(drop),
            client
                .download_media(
                    them,
                    DownloadMedia {
                        media_id: "x".to_owned(),
                        ..DownloadMedia::default()
                    },
                )
                .await
                .map(drop),
        ];
        for refused in refused {
            let Err(CallError::Federation(error)) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(
                (error.http_status(), error.errcode()),
                (404, Some("M_UNRECOGNIZED")),
                "{binding:?}"
            );
            assert!(error.is_unknown_endpoint());
        }
        // The full one has them, for the profile's server too.
        profile
            .client
            .get_version(full.name(), GetVersion::default())
            .await
            .unwrap();
        // And the keys are there for everyone.
        client
            .get_server_keys(them, GetServerKeys::default())
            .await
            .unwrap();
    }
}
