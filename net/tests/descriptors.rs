//! No descriptor is left. A program of its own and one test: the limit is the whole process's.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml exempts test functions, not what they call"
)]

use std::convert::Infallible;
use std::time::Duration;

use comity_net::{
    Body, Dispatch, HttpService, Listener, ListenerOptions, body, raise_descriptor_limit,
};
use http::{Request, Response};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const FEW: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_keep_nobody_out_when_no_descriptor_is_left() {
    let service = tower::service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(Response::new(body::full("here")))
    });
    let options = ListenerOptions::default();
    let listener = Listener::bind(("127.0.0.1", 0), options).await.unwrap();
    let address = listener.local_addr();
    let dispatch = Dispatch::new(HttpService::new(service));
    tokio::spawn(listener.serve(dispatch, std::future::pending()));

    // The clients are of this process too: their sockets are made first, and the listener has what is left over.
    let clients: Vec<_> = (0..FEW)
        .map(|_| tokio::net::TcpSocket::new_v4().unwrap())
        .collect();
    let last = tokio::net::TcpSocket::new_v4().unwrap();
    let before = getrlimit(Resource::Nofile);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = Rlimit {
        current: Some(open + FEW / 2),
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();

    let mut idle = Vec::new();
    for client in clients {
        idle.push(client.connect(address).await.unwrap());
    }
    let answer = timeout(
        Duration::from_secs(8),
        get(last.connect(address).await.unwrap()),
    );
    let answer = answer.await.expect("an idle connection makes room");
    assert!(answer.ends_with("here"), "{answer:?}");

    // It was the last in the queue, so all before it were accepted, and no more than the limit were kept.
    let mut ended = 0;
    for client in &mut idle {
        let mut none = [0];
        let end = timeout(Duration::from_millis(20), client.read(&mut none));
        ended += u64::from(matches!(end.await, Ok(Ok(0) | Err(_))));
    }
    assert!(ended >= FEW / 2, "{ended} of {FEW} made room");

    // And the program may have as many as the system grants.
    assert_eq!(raise_descriptor_limit().unwrap(), before.maximum);
    assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    drop(idle);
}

async fn get(mut tcp: TcpStream) -> String {
    let request = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}
