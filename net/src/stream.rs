//! The byte stream of one connection: a socket, counted, with or without TLS.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::info::{Export, ExportError, TlsInfo};
use crate::listener::Activity;
use crate::socket::Socket;

/// Most bytes that are read from a socket at a time under TLS. rustls asks for 4 KiB, four times for each of its records; this is two of them.
const AHEAD: usize = 32 << 10;

/// Bytes that went over the wire, TLS records included, and requests that went over it in vain. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    received: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    resent: Arc<AtomicU64>,
}

impl Counters {
    /// Both at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests that a [`Pool`](crate::Pool) over these sockets sent once more so far, as a kept connection gave them back unsent.
    pub fn resent(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }

    pub(crate) fn note_resent(&self) {
        self.resent.fetch_add(1, Ordering::Relaxed);
    }
}

/// The byte stream of a connection, ready for HTTP.
#[derive(Debug)]
pub struct Stream(Inner);

#[derive(Debug)]
enum Inner {
    Plain(Metered),
    Tls(Arc<TlsHalf>),
}

/// A TLS stream that its [`ConnectionInfo`](crate::ConnectionInfo) can reach, to export keying material. The lock is never contended otherwise.
#[derive(Debug)]
struct TlsHalf(Mutex<TlsStream<Metered>>);

impl Stream {
    pub(crate) fn plain(socket: Metered) -> Self {
        Self(Inner::Plain(socket))
    }

    pub(crate) fn tls(
        mut stream: TlsStream<Metered>,
    ) -> (Self, TlsInfo, std::sync::Weak<dyn Export>) {
        let early_data = match &mut stream {
            TlsStream::Server(server) => server.get_mut().1.early_data().is_some(),
            TlsStream::Client(client) => client.get_ref().1.is_early_data_accepted(),
        };
        let info = tls_info(&stream, early_data);
        let half = Arc::new(TlsHalf(Mutex::new(stream)));
        let exporter = Arc::downgrade(&half);
        (Self(Inner::Tls(half)), info, exporter)
    }
}

fn tls_info(stream: &TlsStream<Metered>, early_data: bool) -> TlsInfo {
    let (_, common) = stream.get_ref();
    let sni = match stream {
        TlsStream::Server(server) => server.get_ref().1.server_name().map(str::to_owned),
        TlsStream::Client(_) => None,
    };
    TlsInfo {
        version: common
            .protocol_version()
            .expect("the handshake is complete"),
        alpn: common.alpn_protocol().map(<[u8]>::to_vec),
        sni,
        resumed: common.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        early_data,
        peer_certificates: common
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|one| one.clone().into_owned())
            .collect(),
    }
}

impl TlsHalf {
    fn lock(&self) -> MutexGuard<'_, TlsStream<Metered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Export for TlsHalf {
    fn export(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), ExportError> {
        let exported = match &*self.lock() {
            TlsStream::Client(client) => client
                .get_ref()
                .1
                .export_keying_material(out, label, context),
            TlsStream::Server(server) => server
                .get_ref()
                .1
                .export_keying_material(out, label, context),
        };
        exported.map(|_| ()).map_err(ExportError::Tls)
    }
}

/// Runs one poll on whatever the stream is.
macro_rules! on_inner {
    ($self:ident, $stream:ident => $poll:expr) => {
        match &mut $self.get_mut().0 {
            Inner::Plain(tcp) => {
                let $stream = Pin::new(tcp);
                $poll
            }
            Inner::Tls(half) => {
                let mut guard = half.lock();
                let $stream = Pin::new(&mut *guard);
                $poll
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_inner!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_inner!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_inner!(self, stream => stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Inner::Plain(tcp) => tcp.is_write_vectored(),
            Inner::Tls(half) => half.lock().is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_inner!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_inner!(self, stream => stream.poll_shutdown(cx))
    }
}

/// A socket whose bytes are counted, and whose reads and writes are noted.
#[derive(Debug)]
pub(crate) struct Metered {
    socket: Socket,
    /// What was read and is not taken yet. As long as a byte of it is left it keeps all of its memory; a connection of which all was taken keeps none.
    ahead: BytesMut,
    reads_ahead: bool,
    counters: Option<Counters>,
    activity: Option<Arc<Activity>>,
}

impl Metered {
    pub(crate) fn new(socket: impl Into<Socket>, counters: Option<Counters>) -> Self {
        Self {
            socket: socket.into(),
            ahead: BytesMut::new(),
            reads_ahead: false,
            counters,
            activity: None,
        }
    }

    pub(crate) fn with_activity(mut self, activity: Arc<Activity>) -> Self {
        self.activity = Some(activity);
        self
    }

    /// Has more read from the socket than is asked for, if it is little: for TLS.
    pub(crate) fn reading_ahead(mut self) -> Self {
        self.reads_ahead = true;
        self
    }

    /// Has these bytes, which were read already, read once more.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        self.ahead = bytes.into();
    }

    /// Notes that bytes came.
    fn came(&self, bytes: usize) {
        if bytes > 0 {
            if let Some(counters) = &self.counters {
                counters.received.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            if let Some(activity) = &self.activity {
                activity.bytes_arrived();
            }
        }
    }

    /// Notes what became of an attempt to write.
    fn wrote(&self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &wrote {
            Poll::Ready(Ok(bytes)) => {
                if let Some(counters) = &self.counters {
                    counters.sent.fetch_add(*bytes as u64, Ordering::Relaxed);
                }
                if let Some(activity) = &self.activity {
                    activity.bytes_left();
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if let Some(activity) = &self.activity {
                    activity.bytes_wait();
                }
            }
        }
        wrote
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            if !self.reads_ahead || buf.remaining() >= AHEAD {
                let before = buf.filled().len();
                ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
                self.came(buf.filled().len() - before);
                return Poll::Ready(Ok(()));
            }
            let mut ahead = BytesMut::with_capacity(AHEAD);
            let bytes = ready!(pin!(self.socket.read_buf(&mut ahead)).poll(cx))?;
            self.came(bytes);
            self.ahead = ahead;
        }
        let taken = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..taken]);
        self.ahead.advance(taken);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.wrote(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.wrote(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn what_is_read_ahead_comes_in_order_and_keeps_no_memory() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(near, listener.accept());
        let (mut near, far) = (near.unwrap(), far.unwrap().0);
        let sent: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
        let whole = sent.clone();
        let writing = tokio::spawn(async move { near.write_all(&whole).await.unwrap() });
        let counters = Counters::new();
        let mut metered = Metered::new(far, Some(counters.clone())).reading_ahead();
        let (mut read, mut most_ahead) = (Vec::new(), 0);
        let mut piece = [0; 1000];
        loop {
            let bytes = metered.read(&mut piece).await.unwrap();
            if bytes == 0 {
                break;
            }
            read.extend_from_slice(&piece[..bytes]);
            most_ahead = most_ahead.max(metered.ahead.len());
            assert_eq!(
                counters.received(),
                (read.len() + metered.ahead.len()) as u64
            );
        }
        writing.await.unwrap();
        assert!(read == sent, "{} bytes of {}", read.len(), sent.len());
        assert!(most_ahead > 0 && most_ahead < AHEAD, "{most_ahead}");
        assert_eq!(metered.ahead.capacity(), 0);
    }
}
