//! Every way from a caller to a handler.

use std::net::SocketAddr;

use comity_conformance::{
    Bench, Harness,
    bench::{
        Seen,
        credentials::{DESTINATION, name},
    },
};
use comity_core::{Client, Operations, transport::MemoryMode};
use comity_net::{ConnectionInfo, Dispatch, HttpService};

use crate::harnesses::{Authority, Binding, Memory, Network};

/// Each binding, each kind of memory, and through gateways.
pub(crate) async fn wires() -> Vec<Bench> {
    wires_of(Operations::federation()).await
}

/// The same where every server and gateway takes in these operations.
pub(crate) async fn wires_of(operations: Operations) -> Vec<Bench> {
    let wire = async |harness: &dyn Harness| {
        let bench = Bench::new(harness, operations.clone()).await;
        bench.unwrap()
    };
    let mut wires = vec![
        wire(&Memory(MemoryMode::ByValue)).await,
        wire(&Memory(MemoryMode::ThroughCodec)).await,
    ];
    for hops in [
        &[Binding::Http1][..],
        &[Binding::Http2],
        &[Binding::Grpc],
        &[Binding::GrpcInvoke],
        &[Binding::Http1, Binding::Grpc, Binding::Http1],
        &[Binding::Grpc, Binding::Http2, Binding::GrpcInvoke],
    ] {
        wires.push(wire(&Network(hops)).await);
    }
    wires
}

/// A client of gRPC that is led to any HTTP service.
pub(crate) async fn grpc_to(service: HttpService) -> Client {
    let authority = Authority::shared();
    let (address, _) = authority.listen(Dispatch::new(service)).await.unwrap();
    let transport = authority.transport(Binding::Grpc, &name(DESTINATION), address);
    Client::new(transport.unwrap())
}

/// Where the connection of a call came from; in memory there is none.
pub(crate) fn peer_of(seen: &Seen) -> Option<SocketAddr> {
    let connection = seen.connection.as_ref()?;
    connection
        .downcast_ref::<ConnectionInfo>()?
        .peer()
        .socket_addr()
}
