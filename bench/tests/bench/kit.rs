//! The conformance kit judges a wire with the proof of origin that is measured.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use comity_bench::subject::{
    Client, Guard, Proven, Setting, SetupError, Subject, Wire, harness, ours,
};
use comity_conformance::{Declared, Verdict, cases, samples};
use comity_core::{
    CallService, Operations,
    auth::{Authenticator, XMatrixAuthenticator},
    call::{Call, Reply},
    error::CallError,
    transport::{Capabilities, Transport},
};

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

/// Says that it has sessions. Its calls are signed, or the one that the kit begins with has a session alone.
#[derive(Debug)]
struct FallsBack {
    session: Arc<dyn Wire>,
    signed: Arc<dyn Wire>,
    once: bool,
}

#[async_trait]
impl Wire for FallsBack {
    fn name(&self) -> String {
        "falls back".to_owned()
    }

    async fn serve(
        &self,
        setting: &Setting,
        operations: Operations,
        service: CallService,
    ) -> Result<(Vec<SocketAddr>, Guard), SetupError> {
        self.session.serve(setting, operations, service).await
    }

    async fn connect(
        &self,
        setting: &Setting,
        addresses: &[SocketAddr],
    ) -> Result<Client, SetupError> {
        let signed = self.signed.connect(setting, addresses).await?;
        if !self.once {
            return Ok(signed);
        }
        let session = self.session.connect(setting, addresses).await?;
        let transport = Once {
            session: session.transport,
            signed: signed.transport,
            begun: AtomicBool::new(false),
        };
        Ok(Client {
            transport: Arc::new(transport),
            counters: session.counters,
        })
    }

    fn declared(&self) -> Declared {
        self.session.declared()
    }

    fn authenticator(&self, x_matrix: XMatrixAuthenticator) -> Arc<dyn Authenticator> {
        self.session.authenticator(x_matrix)
    }

    fn scheme(&self) -> &'static str {
        self.session.scheme()
    }
}

/// The first call by a session, every other one signed.
#[derive(Debug)]
struct Once {
    session: Arc<dyn Transport>,
    signed: Arc<dyn Transport>,
    begun: AtomicBool,
}

#[async_trait]
impl Transport for Once {
    fn name(&self) -> &'static str {
        self.session.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.session.capabilities()
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        match self.begun.swap(true, Ordering::Relaxed) {
            false => self.session.send(call).await,
            true => self.signed.send(call).await,
        }
    }
}

#[test]
fn a_wire_that_signs_where_it_says_to_have_sessions_is_refused() {
    for once in [false, true] {
        let falls_back: Arc<dyn Wire> = Arc::new(FallsBack {
            session: wire("gRPC, session"),
            signed: wire("gRPC"),
            once,
        });
        let proven = Proven::default();
        let all = cases(harness(&falls_back, &proven), &samples());
        let mut crossing = all
            .into_iter()
            .filter(|case| case.name() == "falls back: QueryProfile: smallest request");
        let verdict = crossing.next().unwrap().run();
        assert!(
            matches!(&verdict, Verdict::Failed(why) if why.contains("own proof")),
            "{once}: {verdict:?}"
        );
        // The call by which the proof was accepted is not one of the case's.
        assert!(!proven.counts().contains_key("session"), "{once}");
    }
}
