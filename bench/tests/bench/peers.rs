//! What others would do does what it says it takes, and says why the kit is not asked.

use std::time::Duration;

use comity_bench::{
    model::{Flow, Scenario},
    peers::subjects,
    scenario::{first_call, service},
    subject::{Setting, Subject, Wire},
};

use crate::{
    scenarios::measured,
    setting::{name_of, setting},
};

const ALL: [Scenario; 10] = [
    Scenario::SmallQuery,
    Scenario::Transaction,
    Scenario::Steady,
    Scenario::Burst,
    Scenario::Join1k,
    Scenario::Join20k,
    Scenario::Join200k,
    Scenario::Backfill,
    Scenario::Media,
    Scenario::ColdStart,
];

fn wires() -> impl Iterator<Item = std::sync::Arc<dyn Wire>> {
    subjects().into_iter().map(|subject| match subject {
        Subject::Apart(wire) => wire,
        Subject::Together(_) => panic!("a peer has a wire"),
    })
}

#[tokio::test]
async fn peers_are_called_as_the_report_calls_them_and_exempt() {
    let names: Vec<_> = subjects().iter().map(name_of).collect();
    assert_eq!(names, ["ruma", "tonic", "hyper", "h2"]);
    assert!(wires().all(|wire| wire.exempt().is_some()));
}

#[tokio::test]
async fn peers_do_what_they_take() {
    for wire in wires() {
        let taken: Vec<_> = ALL.into_iter().filter(|it| wire.takes(*it)).collect();
        let missing: Vec<_> = ALL.into_iter().filter(|it| !wire.takes(*it)).collect();
        let floor = ["hyper", "h2"].contains(&&*wire.name());
        assert_eq!(missing, if floor { vec![] } else { vec![Scenario::Media] });
        // A large room differs from a small one in nothing but its size.
        let taken = taken.into_iter().filter(|it| *it != Scenario::Join200k);
        for scenario in taken {
            for flow in [Flow::OneInFlight, Flow::Concurrent] {
                measured(&Subject::Apart(wire.clone()), scenario, flow).await;
            }
        }
    }
}

/// ruma's path verifies for real, and so it fails for real; the floors look at nothing.
#[tokio::test]
async fn a_stranger_is_refused_by_ruma_alone() {
    for wire in wires() {
        let setting = setting(1);
        let stranger = Setting {
            seed: 8,
            ..setting.clone()
        };
        // What is right is drawn from the seed as well, so the right answers to the stranger are those of its own.
        let (operations, unused) = service(&setting, Scenario::SmallQuery);
        let serving = wire.serve(&setting, operations, unused).await;
        let (addresses, _guard) = serving.unwrap();
        let client = wire.connect(&stranger, &addresses).await.unwrap();
        let called = first_call(&client, &setting, Duration::from_secs(60)).await;
        match &wire.name()[..] {
            "ruma" => assert!(called.unwrap_err().contains("401"), "refused"),
            name => assert!(called.is_ok(), "{name}: {called:?}"),
        }
    }
}
