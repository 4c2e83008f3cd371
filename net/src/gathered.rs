//! What HTTP/2 writes in small pieces, on its way to a stream as few large ones.
//!
//! A write costs microseconds and wakes the peer; over TLS it is a record of its own. hyper's client writes a request's head, and its body when that has gone: two
//! writes for a call of a few hundred bytes. h2 writes a frame of data together with what came before it, and what follows, the trailers, separately: two writes
//! for a reply. Here a flush of little is put off once, to the next one, and what is written by then goes with it: the task that asked is woken, to ask again.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that are held. A larger write goes out at once, behind what is held and without a copy: this is what a connection can cost more than before.
const HELD: usize = 16 << 10;

/// A stream of HTTP/2, which is read and written by one task. Once the peer has spoken that task flushes it whenever it runs (`h2::…::Prioritize::poll_complete`);
/// before that, a server that waits for its client's preface does not, so nothing is put off until then.
#[derive(Debug)]
pub(crate) struct Gathered<S> {
    stream: S,
    held: Vec<u8>,
    /// Whether the peer has spoken.
    begun: bool,
    /// Whether the flush of what is held was put off already.
    put_off: bool,
    /// Whether the stream took less than it was given last: the rest of a large write is not held, which would be a copy for nothing.
    full: bool,
}

impl<S> Gathered<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            held: Vec::new(),
            begun: false,
            put_off: false,
            full: false,
        }
    }

    /// So many bytes of what was held have gone. An idle connection keeps no memory for it.
    fn gone(&mut self, bytes: usize) {
        if bytes < self.held.len() {
            self.held.drain(..bytes);
        } else {
            self.held = Vec::new();
            self.put_off = false;
        }
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => self.gone(bytes),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes so many bytes, with nothing held before them.
    fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        bytes: usize,
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.full = !matches!(wrote, Poll::Ready(Ok(wrote)) if wrote == bytes);
        wrote
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.begun |= buf.filled().len() > before;
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let more: usize = bufs.iter().map(|buf| buf.len()).sum();
        if this.held.len() + more <= HELD && !this.full {
            for buf in bufs {
                this.held.extend_from_slice(buf);
            }
            return Poll::Ready(Ok(more));
        }
        if this.held.is_empty() {
            return this.poll_direct(cx, bufs, more);
        }
        loop {
            let held = this.held.len();
            let all: Vec<IoSlice<'_>> = std::iter::once(&this.held[..])
                .chain(bufs.iter().map(|buf| &buf[..]))
                .map(IoSlice::new)
                .collect();
            let bytes = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, &all))?;
            if bytes == 0 {
                return Poll::Ready(Ok(0));
            }
            this.gone(bytes);
            // Nothing of the new bytes may have gone, and none is no answer.
            if bytes > held {
                this.full = bytes < held + more;
                return Poll::Ready(Ok(bytes - held));
            }
            if this.held.is_empty() {
                return this.poll_direct(cx, bufs, more);
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.held.is_empty() && this.begun && !this.put_off {
            this.put_off = true;
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_held(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_held(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;

    /// Takes what it has room for, and notes each write.
    #[derive(Debug, Default)]
    struct Taker {
        room: usize,
        writes: Vec<Vec<u8>>,
        flushes: usize,
        shut: bool,
    }

    /// A peer that speaks whenever it is listened to.
    impl AsyncRead for Taker {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buf.put_slice(b"!");
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Taker {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            if self.room == 0 {
                return Poll::Pending;
            }
            let mut taken = Vec::new();
            for buf in bufs {
                let room = self.room - taken.len();
                taken.extend_from_slice(&buf[..buf.len().min(room)]);
            }
            self.room -= taken.len();
            let bytes = taken.len();
            self.writes.push(taken);
            Poll::Ready(Ok(bytes))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.shut = true;
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A stream with so much room, whose peer has spoken, and who is woken by it.
    struct Setting {
        stream: Gathered<Taker>,
        wakes: Arc<Wakes>,
    }

    impl Setting {
        fn with_room(room: usize) -> Self {
            let mut setting = Self::before_the_peer(room);
            let mut byte = [0];
            let read = setting.run(|stream, cx| stream.poll_read(cx, &mut ReadBuf::new(&mut byte)));
            assert_eq!(read, Some(()));
            setting
        }

        fn before_the_peer(room: usize) -> Self {
            Self {
                stream: Gathered::new(Taker {
                    room,
                    ..Taker::default()
                }),
                wakes: Arc::default(),
            }
        }

        fn run<T>(
            &mut self,
            poll: impl FnOnce(Pin<&mut Gathered<Taker>>, &mut Context<'_>) -> Poll<io::Result<T>>,
        ) -> Option<T> {
            let waker = Waker::from(Arc::clone(&self.wakes));
            match poll(Pin::new(&mut self.stream), &mut Context::from_waker(&waker)) {
                Poll::Ready(done) => Some(done.expect("the taker never fails")),
                Poll::Pending => None,
            }
        }

        fn write(&mut self, bytes: &[u8]) -> Option<usize> {
            self.run(|stream, cx| stream.poll_write(cx, bytes))
        }

        fn flush(&mut self) -> bool {
            self.run(|stream, cx| stream.poll_flush(cx)).is_some()
        }

        fn wakes(&self) -> usize {
            self.wakes.0.load(Ordering::Relaxed)
        }

        fn writes(&self) -> &[Vec<u8>] {
            &self.stream.stream.writes
        }
    }

    #[test]
    fn a_flush_is_put_off_once_and_asked_for_again() {
        let mut setting = Setting::with_room(usize::MAX);
        assert_eq!(setting.write(b"head "), Some(5));
        assert!(setting.flush());
        assert!(setting.writes().is_empty());
        assert_eq!(setting.wakes(), 1);
        assert_eq!(setting.write(b"body"), Some(4));
        assert!(setting.flush());
        assert_eq!(setting.writes(), [b"head body"]);
        assert_eq!(setting.wakes(), 1);
        assert_eq!(setting.stream.stream.flushes, 1);
        // Nothing is held: nothing is put off, and nobody woken.
        assert!(setting.flush());
        assert_eq!((setting.wakes(), setting.stream.stream.flushes), (1, 2));
        assert_eq!(setting.stream.held.capacity(), 0);
        // The next one is put off again.
        assert_eq!(setting.write(b"more"), Some(4));
        assert!(setting.flush());
        assert_eq!((setting.wakes(), setting.writes().len()), (2, 1));
    }

    #[test]
    fn nothing_is_put_off_before_the_peer_has_spoken() {
        let mut setting = Setting::before_the_peer(usize::MAX);
        assert_eq!(setting.write(b"settings"), Some(8));
        assert!(setting.flush());
        assert_eq!(setting.writes(), [b"settings"]);
        assert_eq!(setting.wakes(), 0);
    }

    #[test]
    fn a_large_write_takes_what_is_held_with_it() {
        let mut setting = Setting::with_room(usize::MAX);
        let large = vec![7; HELD];
        assert_eq!(setting.write(b"head"), Some(4));
        assert!(setting.flush());
        assert_eq!(setting.write(&large), Some(HELD));
        assert_eq!(setting.writes(), [[&b"head"[..], &large].concat()]);
        // What was put off has gone.
        assert_eq!(setting.write(b"end"), Some(3));
        assert!(setting.flush());
        assert_eq!((setting.wakes(), setting.writes().len()), (2, 1));
    }

    #[test]
    fn the_rest_of_a_large_write_is_not_held() {
        let mut setting = Setting::with_room(HELD);
        let large = vec![7; HELD + 9];
        assert_eq!(setting.write(&large), Some(HELD));
        assert_eq!(setting.write(&large[HELD..]), None);
        setting.stream.stream.room = usize::MAX;
        assert_eq!(setting.write(&large[HELD..]), Some(9));
        assert_eq!(setting.writes().concat(), large);
        // There is room again.
        assert_eq!(setting.write(b"end"), Some(3));
        assert_eq!(setting.writes().len(), 2);
    }

    #[test]
    fn whatever_room_there_is_the_bytes_come_in_order_and_no_more_is_held_than_may_be() {
        let source: Vec<u8> = (0..9 * HELD).map(|at| (at % 251) as u8).collect();
        for room in [997, 4096, HELD - 1, HELD, HELD + 1, 3 * HELD] {
            let mut setting = Setting::with_room(room);
            let mut rest = &source[..];
            for (at, size) in [4, 1, HELD, 9, 2 * HELD, HELD - 1, 1, 3 * HELD, 5, HELD]
                .into_iter()
                .enumerate()
            {
                let (mut piece, behind) = rest.split_at(size);
                rest = behind;
                while !piece.is_empty() {
                    match setting.write(piece) {
                        Some(bytes) => {
                            assert!(bytes > 0);
                            piece = &piece[bytes..];
                        }
                        None => setting.stream.stream.room = room,
                    }
                    assert!(setting.stream.held.len() <= HELD);
                }
                if at % 3 == 0 {
                    while !setting.flush() {
                        setting.stream.stream.room = room;
                    }
                }
            }
            let shut =
                |stream: Pin<&mut Gathered<Taker>>, cx: &mut Context<'_>| stream.poll_shutdown(cx);
            while setting.run(shut).is_none() {
                assert!(!setting.stream.stream.shut);
                setting.stream.stream.room = room;
            }
            assert!(setting.stream.stream.shut);
            let sent = source.len() - rest.len();
            assert!(setting.writes().concat() == source[..sent], "room {room}");
        }
    }

    #[test]
    fn a_flush_waits_for_all_that_is_held() {
        let mut setting = Setting::with_room(2);
        assert_eq!(setting.write(b"four"), Some(4));
        assert!(setting.flush());
        assert!(!setting.flush());
        assert!(!setting.flush());
        setting.stream.stream.room = 2;
        assert!(setting.flush());
        assert_eq!(setting.writes(), [b"fo", b"ur"]);
    }
}
