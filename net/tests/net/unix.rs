//! Unix sockets: dialled, listened to, left behind; and sockets that another process bound.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use comity_core::error::{Delivery, TransportErrorKind};
use comity_core::transport::Route;
use comity_net::{
    Address, ConnectionInfo, Connector, Counters, Dispatch, Drained, InheritedSocket, Listener,
    ListenerOptions, Pool, PoolOptions, Protocol, body, inherited,
};
use http::{Response, Version};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::setting::{ask, echo, read_head, service, write};

/// A place for a socket, in a directory of the test's own that goes with it.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("comity-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("in.sock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn serve(listener: Listener) -> (oneshot::Sender<()>, JoinHandle<Drained>) {
    let (stop, stopped) = oneshot::channel();
    let serving = listener.serve(Dispatch::new(echo()), async {
        let _ = stopped.await;
    });
    (stop, tokio::spawn(serving))
}

fn pool(place: &Place, protocol: Protocol) -> Pool {
    Pool::new(
        Connector::to_unix(place.socket()),
        PoolOptions::default().with_protocol(protocol),
    )
}

/// Without addresses: the connector knows where to go.
fn route() -> Route {
    Route {
        addresses: Vec::new(),
        host: "hs1.test".to_owned(),
        certificate_name: "hs1.test".to_owned(),
    }
}

#[tokio::test]
async fn requests_travel_over_a_unix_socket_in_either_version() {
    let place = Place::new("versions");
    let counters = Counters::new();
    let options = ListenerOptions {
        counters: Some(counters.clone()),
        ..ListenerOptions::default()
    };
    let listener = Listener::bind_unix(place.socket(), options).unwrap();
    assert_eq!(
        listener.address(),
        &Address::Unix(Some(place.socket().into()))
    );
    let (stop, ended) = serve(listener);
    for (protocol, version) in [
        (Protocol::Http1, Version::HTTP_11),
        (Protocol::Http1Or2, Version::HTTP_11),
        (Protocol::Http2, Version::HTTP_2),
    ] {
        let pool = pool(&place, protocol);
        for target in ["/1?a=%40", "/2"] {
            assert_eq!(ask(&pool, &route(), target).await.unwrap(), target);
        }
        let response = pool.send(&route(), crate::setting::get("/")).await.unwrap();
        let info = response.extensions().get::<Arc<ConnectionInfo>>().unwrap();
        assert_eq!(info.version(), version);
        assert_eq!(info.peer(), &Address::Unix(Some(place.socket().into())));
    }
    assert!(counters.received() > 0 && counters.sent() > 0);
    drop(stop);
    assert_eq!(ended.await.unwrap(), Drained { cut: 0 });
    assert!(!place.socket().exists(), "its file goes with the listener");
}

#[tokio::test]
async fn one_connection_of_http2_carries_all_calls_over_a_unix_socket() {
    let place = Place::new("reuse");
    let listener = Listener::bind_unix(place.socket(), ListenerOptions::default()).unwrap();
    let counting = service(|request| async move {
        let info = request.extensions().get::<Arc<ConnectionInfo>>().unwrap();
        assert_eq!(info.peer(), &Address::Unix(None));
        let count = info.state_or_insert_with(std::sync::atomic::AtomicU32::default);
        let before = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Response::new(body::full(before.to_string()))
    });
    tokio::spawn(listener.serve(Dispatch::new(counting), std::future::pending()));
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = pool(&place, protocol);
        for expected in ["0", "1", "2"] {
            assert_eq!(ask(&pool, &route(), "/").await.unwrap(), expected);
        }
    }
}

#[tokio::test]
async fn first_bytes_that_come_one_by_one_tell_the_version() {
    let place = Place::new("dribble");
    let listener = Listener::bind_unix(place.socket(), ListenerOptions::default()).unwrap();
    let (_stop, _) = serve(listener);
    let mut unix = UnixStream::connect(place.socket()).await.unwrap();
    for byte in b"PUT /x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n" {
        unix.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(read_head(&mut unix).await.contains("200 OK"));
    let mut unix = UnixStream::connect(place.socket()).await.unwrap();
    write(&mut unix, "PR").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    write(&mut unix, "I * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    // An empty SETTINGS frame; the server's own come back.
    unix.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut frame = [0; 9];
    tokio::io::AsyncReadExt::read_exact(&mut unix, &mut frame)
        .await
        .unwrap();
    assert_eq!(frame[3], 4, "SETTINGS");
}

#[tokio::test]
async fn a_socket_that_a_dead_process_left_is_replaced_and_nothing_else_is() {
    let place = Place::new("stale");
    // The standard library's listener leaves its file.
    drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
    assert!(place.socket().exists());
    let listener = Listener::bind_unix(place.socket(), ListenerOptions::default()).unwrap();
    // Somebody listens now.
    let second = Listener::bind_unix(place.socket(), ListenerOptions::default());
    assert_eq!(second.unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(listener);
    std::fs::write(place.socket(), "precious").unwrap();
    let onto_a_file = Listener::bind_unix(place.socket(), ListenerOptions::default());
    assert_eq!(onto_a_file.unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(std::fs::read(place.socket()).unwrap(), b"precious");
}

#[tokio::test]
async fn a_listener_takes_no_other_socket_away() {
    let place = Place::new("successor");
    let first = Listener::bind_unix(place.socket(), ListenerOptions::default()).unwrap();
    std::fs::remove_file(place.socket()).unwrap();
    let second = Listener::bind_unix(place.socket(), ListenerOptions::default()).unwrap();
    drop(first);
    assert!(place.socket().exists());
    drop(second);
    assert!(!place.socket().exists());
}

#[tokio::test]
async fn a_sockets_permissions_are_a_setting() {
    let place = Place::new("mode");
    let options = ListenerOptions {
        unix_mode: Some(0o600),
        ..ListenerOptions::default()
    };
    let _listener = Listener::bind_unix(place.socket(), options).unwrap();
    let found = std::fs::metadata(place.socket()).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_socket_without_a_listener_is_not_connected_to() {
    let place = Place::new("nobody");
    let asked = ask(&pool(&place, Protocol::Http1), &route(), "/").await;
    let error = asked.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(error.message().contains("in.sock"), "{error}");
}

#[tokio::test]
async fn a_port_that_was_bound_elsewhere_is_served() {
    let tcp = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = tcp.local_addr().unwrap();
    let listener = Listener::from_tcp(tcp, ListenerOptions::default()).unwrap();
    assert_eq!(listener.local_addr(), address);
    let (_stop, _) = serve(listener);
    let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    write(&mut tcp, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(read_head(&mut tcp).await.contains("200 OK"));
}

#[tokio::test]
async fn the_file_of_a_socket_that_was_bound_elsewhere_stays() {
    let place = Place::new("elsewhere");
    let unix = std::os::unix::net::UnixListener::bind(place.socket()).unwrap();
    let listener = Listener::from_unix(unix, ListenerOptions::default()).unwrap();
    let (stop, ended) = serve(listener);
    let pool = pool(&place, Protocol::Http2);
    assert_eq!(ask(&pool, &route(), "/x").await.unwrap(), "/x");
    drop(stop);
    ended.await.unwrap();
    assert!(place.socket().exists());
}

/// Name of the variable that makes this binary the process of [`child`].
const CHILD: &str = "COMITY_TEST_INHERITED";

/// Not a test by itself: the process that `sockets_are_inherited_from_a_service_manager` starts.
#[test]
fn child() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    let sockets = inherited().unwrap();
    assert!(inherited().unwrap().is_empty(), "they are handed over once");
    let [InheritedSocket::Tcp(_), InheritedSocket::Unix(_)] = &sockets[..] else {
        panic!("{sockets:?}");
    };
    for socket in &sockets {
        println!("listens at {}", socket.address().unwrap());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        for socket in sockets {
            let options = ListenerOptions::default();
            let listener = Listener::from_inherited(socket, options).unwrap();
            let dispatch = Dispatch::new(echo());
            tokio::spawn(listener.serve(dispatch, std::future::pending()));
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
    });
}

#[tokio::test]
async fn sockets_are_inherited_from_a_service_manager() {
    let place = Place::new("manager");
    let tcp = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = tcp.local_addr().unwrap();
    let unix = std::os::unix::net::UnixListener::bind(place.socket()).unwrap();
    // Connections that come before the process listen wait in the sockets.
    let mut early = tokio::net::TcpStream::connect(address).await.unwrap();
    write(&mut early, "GET /early HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // Descriptors from 3 on, as systemd hands them over: the shell moves them there, and its process number stays.
    let script = "exec 3<&0 4<&2 2>&1 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"";
    let mut process = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "unix::child", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(tcp)))
        .stderr(Stdio::from(std::os::fd::OwnedFd::from(unix)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let early = tokio::time::timeout(Duration::from_secs(20), read_head(&mut early)).await;
    let pool = pool(&place, Protocol::Http1);
    let asked = tokio::time::timeout(Duration::from_secs(20), ask(&pool, &route(), "/u")).await;
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(early.unwrap().contains("200 OK"));
    assert_eq!(asked.unwrap().unwrap(), "/u");
}
