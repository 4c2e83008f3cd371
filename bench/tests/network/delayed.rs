//! The delay within the client.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use comity_bench::network::delayed;
use comity_conformance::{Declared, Harness, HarnessError, Served, Verdict, cases, samples};
use comity_core::{
    CallService, Operations, ServerName,
    api::{GetVersion, GetVersionReply},
    call::{Call, Message, Reply},
    error::CallError,
    transport::{Capabilities, MemoryMode, MemoryTransport, Transport},
};

use super::network;

/// Answers at once.
#[derive(Debug)]
pub struct AtOnce;

#[async_trait]
impl Transport for AtOnce {
    fn name(&self) -> &'static str {
        "at-once"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.streaming().max_message(7)
    }

    async fn send(&self, _: Call) -> Result<Reply, CallError> {
        let reply = GetVersionReply::default();
        Ok(Reply::Message(Message::from_value(reply)))
    }
}

#[test]
fn a_call_waits_twice_and_everything_else_is_the_transports() {
    let transport = delayed(Arc::new(AtOnce), &network(0.02, 0.0, None));
    assert_eq!(transport.name(), "at-once");
    assert_eq!(transport.capabilities(), AtOnce.capabilities());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let destination: ServerName = "delayed.example".parse().unwrap();
        let call = || Call::new(destination.clone(), GetVersion::default());
        let began = Instant::now();
        transport.send(call()).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(40));
        // One that is given up does not keep the others waiting.
        drop(transport.send(call()));
        let both = futures_util::future::join(transport.send(call()), transport.send(call()));
        let (one, other) = both.await;
        assert!(one.is_ok() && other.is_ok());
    });
}

#[derive(Debug)]
struct Delayed;

#[async_trait]
impl Harness for Delayed {
    fn name(&self) -> String {
        "delayed".to_owned()
    }

    async fn serve(
        &self,
        _: &ServerName,
        operations: Operations,
        service: CallService,
    ) -> Result<Served, HarnessError> {
        let memory = MemoryTransport::new(operations, service, MemoryMode::ByValue);
        let transport = delayed(Arc::new(memory), &network(0.000_2, 0.0, None));
        Ok(Served::new(transport))
    }

    fn declared(&self) -> Declared {
        Declared::default().naming_destination().by_value()
    }
}

/// The kit's cases for a binding as a whole: cancelling, back pressure, deadlines, large replies, several calls at once.
#[test]
fn the_laws_of_a_transport_are_kept() {
    let mut passed = 0;
    for case in cases(Delayed, &samples()) {
        let name = case.name().to_owned();
        if name.contains("any call") || name.contains("GetState:") {
            match case.run() {
                Verdict::Passed => passed += 1,
                Verdict::Unsupported(_) => {}
                Verdict::Failed(words) => panic!("{name}: {words}"),
            }
        }
    }
    assert!(passed > 10, "{passed}");
}
