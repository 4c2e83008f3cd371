//! The sockets that connections are made of, and the addresses at their ends: TCP and Unix.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, unix};

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// IP address and port.
    Ip(SocketAddr),
    /// A Unix socket: its file, if it has one. The end that connects has none.
    Unix(Option<Arc<Path>>),
}

impl Address {
    /// The IP address; none of a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        Some(self.socket_addr()?.ip())
    }

    /// IP address and port; none of a Unix socket.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Address::Ip(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address::Ip(address)
    }
}

impl From<unix::SocketAddr> for Address {
    fn from(address: unix::SocketAddr) -> Self {
        Address::Unix(address.as_pathname().map(Arc::from))
    }
}

/// As configuration files write it: `192.0.2.1:8448`, `unix:/run/hs.sock`, and `unix:` for an end without a file.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => fmt::Display::fmt(address, f),
            Address::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Address::Unix(None) => f.write_str("unix:"),
        }
    }
}

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Has small writes sent at once; over a Unix socket they always are.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(tcp) => tcp.set_nodelay(true),
            Socket::Unix(_) => Ok(()),
        }
    }

    pub(crate) fn local(&self) -> io::Result<Address> {
        match self {
            Socket::Tcp(tcp) => Ok(tcp.local_addr()?.into()),
            Socket::Unix(unix) => Ok(unix.local_addr()?.into()),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Socket::Tcp(tcp)
    }
}

impl From<UnixStream> for Socket {
    fn from(unix: UnixStream) -> Self {
        Socket::Unix(unix)
    }
}

/// Runs one poll on whichever socket it is.
macro_rules! on_socket {
    ($self:ident, $socket:ident => $poll:expr) => {
        match $self.get_mut() {
            Socket::Tcp(tcp) => {
                let $socket = Pin::new(tcp);
                $poll
            }
            Socket::Unix(unix) => {
                let $socket = Pin::new(unix);
                $poll
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_socket!(self, socket => socket.poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self, socket => socket.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self, socket => socket.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Tcp(tcp) => tcp.is_write_vectored(),
            Socket::Unix(unix) => unix.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, socket => socket.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, socket => socket.poll_shutdown(cx))
    }
}
