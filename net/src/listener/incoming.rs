//! Where connections come from: a TCP port or a Unix socket, bound here or inherited.

use std::fs;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use listenfd::ListenFd;
use rustix::io::Errno;
use tokio::net::{TcpListener, UnixListener};

use crate::Address;
use crate::socket::Socket;

/// Between two attempts to accept, at first: an idle connection needs no more to go.
const SHORT_PAUSE: Duration = Duration::from_millis(5);

/// A bound socket.
#[derive(Debug)]
pub(super) enum Incoming {
    Tcp(TcpListener),
    Unix {
        unix: UnixListener,
        /// Held until the socket closes.
        _file: Option<SocketFile>,
    },
}

impl Incoming {
    /// Binds a Unix socket. A file that a dead process left there is replaced; nothing else is.
    pub(super) fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<Self> {
        remove_stale(path)?;
        let unix = UnixListener::bind(path)?;
        let file = SocketFile::of(path)?;
        if let Some(mode) = mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        Ok(Incoming::Unix {
            unix,
            _file: Some(file),
        })
    }

    /// A socket that listens already; its file, if it has one, is whoever's who bound it.
    pub(super) fn inherit(socket: InheritedSocket) -> io::Result<Self> {
        Ok(match socket {
            InheritedSocket::Tcp(tcp) => {
                tcp.set_nonblocking(true)?;
                Incoming::Tcp(TcpListener::from_std(tcp)?)
            }
            InheritedSocket::Unix(unix) => {
                unix.set_nonblocking(true)?;
                Incoming::Unix {
                    unix: UnixListener::from_std(unix)?,
                    _file: None,
                }
            }
        })
    }

    pub(super) fn local(&self) -> io::Result<Address> {
        match self {
            Incoming::Tcp(tcp) => Ok(tcp.local_addr()?.into()),
            Incoming::Unix { unix, .. } => Ok(unix.local_addr()?.into()),
        }
    }

    /// The next connection. Errors of accepting are of the moment (no descriptor is left, the peer is gone already): it is tried again, after a pause that grows. Where it is
    /// descriptors that are missing, `make_room` is to free one, and says whether it will.
    pub(super) async fn accept(&self, make_room: impl Fn() -> bool) -> (Socket, Address) {
        let mut pause = SHORT_PAUSE;
        loop {
            match self.try_accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_of_the_peer(&error) => continue,
                Err(error) => {
                    if is_of_descriptors(&error) && make_room() {
                        tracing::debug!(%error, "an idle connection makes room");
                        pause = SHORT_PAUSE;
                    } else {
                        tracing::warn!(%error, ?pause, "cannot accept a connection");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    async fn try_accept(&self) -> io::Result<(Socket, Address)> {
        Ok(match self {
            Incoming::Tcp(tcp) => {
                let (stream, peer) = tcp.accept().await?;
                (stream.into(), peer.into())
            }
            Incoming::Unix { unix, .. } => {
                let (stream, peer) = unix.accept().await?;
                (stream.into(), peer.into())
            }
        })
    }
}

/// This process, or the whole system, has as many files open as it may.
fn is_of_descriptors(error: &io::Error) -> bool {
    let full = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|code| full.contains(&code))
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Binding leaves a file behind, which outlives its process and is in the way of the next. Nobody listens to it any more if it refuses connections.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let refuses = || {
        StdUnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if found.file_type().is_socket() && refuses() {
        tracing::info!(path = %path.display(), "replacing a socket that nobody listens to");
        fs::remove_file(path)?;
    }
    Ok(())
}

/// The file of a Unix socket that was bound here. It goes with the listener, unless another process has put its own in place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode) {
            // It is in nobody's way: the next bind replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A socket that listens already, for [`Listener::from_inherited`](super::Listener::from_inherited).
#[derive(Debug)]
pub enum InheritedSocket {
    /// A TCP port.
    Tcp(StdTcpListener),
    /// A Unix socket.
    Unix(StdUnixListener),
}

impl InheritedSocket {
    /// What it is bound to, as configuration names it.
    ///
    /// # Errors
    ///
    /// If the operating system does not say.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            InheritedSocket::Tcp(tcp) => Ok(tcp.local_addr()?.into()),
            InheritedSocket::Unix(unix) => {
                let address = unix.local_addr()?;
                Ok(Address::Unix(address.as_pathname().map(Into::into)))
            }
        }
    }
}

/// The sockets that a service manager handed to this process, in its order: systemd's socket activation (`LISTEN_FDS`, `LISTEN_PID`; sd_listen_fds(3)). None if
/// it handed over none. Connections that come while the process starts or restarts wait in them, and none is refused.
///
/// To be called once, before other threads run: it takes the two variables out of the environment, so that no child believes the sockets are its own.
///
/// # Errors
///
/// If one of them is neither a listening TCP port nor a Unix stream socket.
pub fn inherited() -> io::Result<Vec<InheritedSocket>> {
    let mut handed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..handed.len() {
        let socket = match handed.take_unix_listener(index) {
            Ok(unix) => unix.map(InheritedSocket::Unix),
            Err(_) => handed.take_tcp_listener(index)?.map(InheritedSocket::Tcp),
        };
        sockets.extend(socket);
    }
    Ok(sockets)
}
