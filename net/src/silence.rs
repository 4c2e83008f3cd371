//! How a peer is noticed that is gone without a word: its host was cut off or lost its power, or something between us forgot the connection.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Probes that may stay unanswered.
const PROBES: u32 = 2;

/// Has the operating system give the connection up when the peer has acknowledged nothing for `limit`: bytes that were sent, or probes where there are none. Without, an
/// exchange over HTTP/1.1 hangs for as long as TCP sends again, a quarter of an hour by default.
pub(crate) fn limit(tcp: &TcpStream, limit: Duration) -> io::Result<()> {
    // The socket options know whole seconds, and zero would be their default.
    let limit = Duration::from_secs(limit.as_secs().max(1));
    let pause = Duration::from_secs((limit.as_secs() / u64::from(PROBES + 1)).max(1));
    let socket = SockRef::from(tcp);
    let probes = TcpKeepalive::new()
        .with_time(pause)
        .with_interval(pause)
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&probes)?;
    // Keepalive watches connections on which nothing is under way; elsewhere than on Linux it is all there is.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limit))?;
    Ok(())
}
