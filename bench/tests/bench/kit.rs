//! The conformance kit judges a wire with the proof of origin that is measured.

use std::sync::Arc;

use comity_bench::subject::{Proven, Subject, Wire, harness, ours};
use comity_conformance::{Verdict, cases, samples};

fn wire(name: &str) -> Arc<dyn Wire> {
    let wires = ours().into_iter().filter_map(|subject| match subject {
        Subject::Apart(wire) => Some(wire),
        Subject::Together(_) => None,
    });
    let mut wires = wires.filter(|wire| wire.name() == name);
    wires.next().unwrap()
}

/// How the calls of some of the kit's cases were proven. All cases pass.
fn proven_by(wire: &Arc<dyn Wire>) -> Vec<String> {
    let proven = Proven::default();
    let mut tried = 0;
    for case in cases(harness(wire, &proven), &samples()) {
        let name = case.name().to_owned();
        if !(name.contains("SendTransaction") || name.contains("QueryProfile")) {
            continue;
        }
        tried += 1;
        if let Verdict::Failed(why) = case.run() {
            panic!("{name}: {why}");
        }
    }
    assert!(tried > 5, "{tried}");
    proven.counts().into_keys().collect()
}

#[test]
fn sessions_are_judged_with_sessions() {
    let wire = wire("gRPC, session");
    assert_eq!(wire.scheme(), "session");
    assert!(proven_by(&wire).contains(&"session".to_owned()));
}

#[test]
fn signed_calls_are_judged_signed() {
    let wire = wire("gRPC");
    assert_eq!(proven_by(&wire), [wire.scheme()]);
}

/// A handler's 401 as the very first answer says nothing of the session.
#[test]
fn a_session_is_accepted_before_handlers_answer_401() {
    let wire = wire("gRPC, session");
    let name = "gRPC, session: SendTransaction: common errors";
    let mut cases = cases(harness(&wire, &Proven::default()), &samples()).into_iter();
    let case = cases.find(|case| case.name() == name).unwrap();
    assert_eq!(case.run(), Verdict::Passed);
}
