//! Who is compared here: our own without the kit, which takes a while and is run elsewhere, and some that go wrong.

use std::{future::pending, net::SocketAddr, sync::Arc};

use comity_bench::{
    model::Scenario,
    subject::{Client, Guard, Setting, SetupError, Subject, Wire, ours},
};
use comity_conformance::{Declared, Harness, HarnessError, Served, async_trait};
use comity_core::{
    CallService, Operations, ServerName,
    call::{Call, Reply},
    error::{CallError, FederationError},
    transport::{Capabilities, Transport},
};

/// In the order of their names below.
pub fn all() -> Vec<Subject> {
    let gone_wrong = [Wrong::Dies, Wrong::Hangs].map(|how| Subject::Apart(Arc::new(how)));
    let ours = ours().into_iter().map(|subject| match subject {
        Subject::Apart(wire) => Subject::Apart(Arc::new(Unjudged(wire))),
        memory @ Subject::Together(_) => memory,
    });
    let deaf = Subject::Together(Arc::new(Deaf));
    ours.chain(gone_wrong).chain([deaf]).collect()
}

/// A wire of ours that the kit is not asked about.
#[derive(Debug)]
struct Unjudged(Arc<dyn Wire>);

#[async_trait]
impl Wire for Unjudged {
    fn name(&self) -> String {
        self.0.name()
    }

    async fn serve(
        &self,
        setting: &Setting,
        operations: Operations,
        service: CallService,
    ) -> Result<(Vec<SocketAddr>, Guard), SetupError> {
        self.0.serve(setting, operations, service).await
    }

    async fn connect(
        &self,
        setting: &Setting,
        addresses: &[SocketAddr],
    ) -> Result<Client, SetupError> {
        self.0.connect(setting, addresses).await
    }

    fn takes(&self, scenario: Scenario) -> bool {
        self.0.takes(scenario)
    }

    fn exempt(&self) -> Option<&'static str> {
        Some("the kit is run over it elsewhere")
    }
}

/// A server that does not come up.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Dies,
    Hangs,
}

#[async_trait]
impl Wire for Wrong {
    fn name(&self) -> String {
        match self {
            Self::Dies => "dies".to_owned(),
            Self::Hangs => "hangs".to_owned(),
        }
    }

    async fn serve(
        &self,
        _: &Setting,
        _: Operations,
        _: CallService,
    ) -> Result<(Vec<SocketAddr>, Guard), SetupError> {
        match self {
            Self::Dies => {
                println!("this is no answer");
                eprintln!("the cable is unplugged");
                std::process::exit(7);
            }
            Self::Hangs => pending().await,
        }
    }

    async fn connect(&self, _: &Setting, _: &[SocketAddr]) -> Result<Client, SetupError> {
        Err("there is nobody".into())
    }

    fn exempt(&self) -> Option<&'static str> {
        Some("it is broken")
    }
}

/// A binding that answers every call that there is no such call.
#[derive(Debug)]
struct Deaf;

#[async_trait]
impl Harness for Deaf {
    fn name(&self) -> String {
        "deaf".to_owned()
    }

    async fn serve(
        &self,
        _: &ServerName,
        _: Operations,
        _: CallService,
    ) -> Result<Served, HarnessError> {
        Ok(Served::new(Arc::new(Deaf)))
    }

    fn declared(&self) -> Declared {
        Declared::default().without_shrinking()
    }
}

#[async_trait]
impl Transport for Deaf {
    fn name(&self) -> &'static str {
        "deaf/1"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    async fn send(&self, _: Call) -> Result<Reply, CallError> {
        Err(FederationError::new(404, "M_UNRECOGNIZED", "what?").into())
    }
}
