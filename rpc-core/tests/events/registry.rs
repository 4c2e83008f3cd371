//! The registry: both editions, and anyone's.

use comity_core::{
    call::Edition,
    event::room_version::{Designation, RegisterError, RoomVersionEntry, RoomVersions},
};

use crate::setting::version;

#[test]
fn one_server_knows_both_editions_by_registering_both() {
    let versions = RoomVersions::matrix().and(RoomVersions::ietf()).unwrap();
    assert_eq!(versions.iter().count(), 13);
    let twelve = versions.get("12").unwrap();
    assert_eq!(twelve.edition(), Edition::Matrix);
    assert_eq!(twelve.designation(), Designation::Stable);
    assert_eq!(twelve.ancestor(), Some("11"));
    let first = versions.get("I.1").unwrap();
    assert_eq!(first.edition(), Edition::Ietf);
    assert_eq!(first.designation(), Designation::Unstable);
    assert_eq!(first.ancestor(), Some("10"));
    // The other draft's version of that name goes by its own.
    assert!(
        versions
            .get("org.matrix.i-d.ralston-mimi-linearized-matrix.02")
            .is_none()
    );
}

#[test]
fn rooms_of_an_unstable_name_have_the_same_rules() {
    let versions = RoomVersions::matrix();
    assert_eq!(versions.get("org.matrix.hydra.11").unwrap().id(), "12");
}

#[test]
fn an_edition_derives_a_version_from_another_edition() {
    let mut versions = RoomVersions::matrix().and(RoomVersions::ietf()).unwrap();
    let thirteen = RoomVersionEntry::new("13", Edition::Matrix, version("12"))
        .designated(Designation::Stable)
        .derived_from("12");
    let second = RoomVersionEntry::new("I.2", Edition::Ietf, version("12"))
        .designated(Designation::Lts)
        .derived_from("13")
        .with_alias("org.example.i2.draft");
    versions.register(thirteen).unwrap();
    versions.register(second).unwrap();
    let found = versions.get("org.example.i2.draft").unwrap();
    assert_eq!((found.id(), found.ancestor()), ("I.2", Some("13")));
    assert_eq!(found.designation().to_string(), "LTS");
}

#[test]
fn a_taken_name_and_a_malformed_one_are_refused() {
    let mut versions = RoomVersions::matrix();
    let entry = |id: &str| RoomVersionEntry::new(id, Edition::Matrix, version("12"));
    assert_eq!(
        versions.register(entry("12")),
        Err(RegisterError::Taken("12".to_owned()))
    );
    assert_eq!(
        versions.register(entry("13").with_alias("org.matrix.hydra.11")),
        Err(RegisterError::Taken("org.matrix.hydra.11".to_owned()))
    );
    assert!(versions.get("13").is_none());
    for id in ["", "a b", "ä", &"x".repeat(129)] {
        assert!(matches!(
            versions.register(entry(id)),
            Err(RegisterError::NoIdentifier(_))
        ));
    }
}
