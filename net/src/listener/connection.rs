//! One accepted connection, from its first byte to its last.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::{TlsAcceptor, TlsStream};
use tower::Service;

use super::activity::{Activity, InFlight, Limits, Waiting, Watched};
use super::crowd::{Crowd, IDLE_ENOUGH};
use super::reading::{Reply, Supervised};
use super::{Dispatch, ListenerOptions};
use crate::body::empty;
use crate::delivery::transport_error;
use crate::gathered::Gathered;
use crate::socket::Socket;
use crate::stream::Metered;
use crate::{
    Address, Body, ClientAddress, ConnectionInfo, HEADER_LIST, Protocol, Stream, TrustedProxies,
    http2_settings as h2,
};

/// How long a connection that was idle for too long may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// The same of one that makes room for another, which waits.
const SHORT_FAREWELL: Duration = Duration::from_millis(250);

/// What all connections of a listener share.
pub(super) struct Server {
    options: ListenerOptions,
    answering: Arc<Answering>,
    crowd: Arc<Crowd>,
    http1: http1::Builder,
    http2: http2::Builder<Supervised>,
}

impl Server {
    pub(super) fn new(options: ListenerOptions, dispatch: Dispatch) -> Self {
        let mut http1 = http1::Builder::new();
        // The header timeout is ours: see `Activity`.
        http1
            .header_read_timeout(None::<Duration>)
            .max_header_size(HEADER_LIST);
        let mut http2 = http2::Builder::new(Supervised::new(options.write_timeout));
        http2
            .timer(TokioTimer::new())
            .initial_stream_window_size(h2::STREAM_WINDOW)
            .initial_connection_window_size(h2::CONNECTION_WINDOW)
            .max_frame_size(h2::FRAME)
            .max_send_buf_size(h2::SEND_BUFFER)
            .max_header_list_size(HEADER_LIST as u32)
            .max_concurrent_streams(options.max_concurrent_streams)
            .max_pending_accept_reset_streams(h2::PENDING_RESETS)
            .keep_alive_interval(h2::PING_INTERVAL)
            .keep_alive_timeout(h2::PING_TIMEOUT);
        Self {
            answering: Arc::new(Answering {
                dispatch,
                proxies: options.trusted_proxies.clone(),
            }),
            crowd: Arc::default(),
            options,
            http1,
            http2,
        }
    }

    /// Waits until there may be one more connection; the idle make room.
    pub(super) async fn place(&self, permits: &Arc<Semaphore>) -> OwnedSemaphorePermit {
        let closed = "the semaphore is never closed";
        let mut waiting = pin!(Arc::clone(permits).acquire_owned());
        if let Some(permit) = waiting.as_mut().now_or_never() {
            return permit.expect(closed);
        }
        loop {
            self.crowd.make_room();
            if let Ok(permit) = timeout(IDLE_ENOUGH / 4, waiting.as_mut()).await {
                return permit.expect(closed);
            }
        }
    }

    /// Has an idle connection go, if there is one: the process has no descriptor left.
    pub(super) fn make_room(&self) -> bool {
        self.crowd.make_room()
    }

    /// Serves one connection to its end, or until the listener is stopping and the requests in flight are done.
    pub(super) async fn serve(
        &self,
        socket: Socket,
        peer: Address,
        mut stopping: watch::Receiver<bool>,
    ) {
        let activity = Arc::new(Activity::new(Limits {
            header: self.options.header_timeout,
            idle: self.options.idle_timeout,
            write: self.options.write_timeout,
        }));
        let _place = self.crowd.join(&activity);
        let establish = timeout(
            self.options.handshake_timeout,
            self.establish(socket, peer.clone(), &activity),
        );
        let established = tokio::select! {
            established = establish => established,
            () = activity.dismissed() => return,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let (stream, info) = match established {
            Ok(Ok(established)) => established,
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "no connection came about");
                return;
            }
            Err(_) => {
                tracing::debug!(%peer, "the handshake took too long");
                return;
            }
        };
        activity.ready();
        let http2 = info.version() == Version::HTTP_2;
        let (answering, requests) = (Arc::clone(&self.answering), Arc::clone(&activity));
        let service = service_fn(move |request| {
            answer(
                request,
                Arc::clone(&answering),
                Arc::clone(&info),
                requests.request(),
            )
        });
        let drive = Drive {
            activity,
            http2,
            stopping,
            peer,
        };
        if http2 {
            let io = TokioIo::new(Gathered::new(stream));
            drive.run(self.http2.serve_connection(io, service)).await;
        } else {
            let io = TokioIo::new(stream);
            drive.run(self.http1.serve_connection(io, service)).await;
        }
    }

    async fn establish(
        &self,
        socket: Socket,
        peer: Address,
        activity: &Arc<Activity>,
    ) -> io::Result<(Stream, Arc<ConnectionInfo>)> {
        socket.set_nodelay()?;
        let local = socket.local()?;
        let counters = self.options.counters.clone();
        let mut socket = Metered::new(socket, counters).with_activity(Arc::clone(activity));
        let Some(tls) = &self.options.tls else {
            let version = match self.options.protocol {
                Protocol::Http1 => Version::HTTP_11,
                Protocol::Http2 => Version::HTTP_2,
                Protocol::Http1Or2 => first_bytes_tell(&mut socket).await?,
            };
            let info = ConnectionInfo::without_tls(peer, local, version);
            return Ok((Stream::plain(socket), Arc::new(info)));
        };
        let accepting = TlsAcceptor::from(tls.accepting(self.options.protocol));
        let stream = accepting.accept(socket).await?;
        let (stream, tls, exporter) = Stream::tls(TlsStream::Server(stream));
        // A client without ALPN speaks HTTP/1.1, if that is served (RFC 9113 §3.2 wants ALPN).
        let version = match (tls.alpn.as_deref(), self.options.protocol) {
            (Some(b"h2"), _) | (None, Protocol::Http2) => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        let info = ConnectionInfo::new(peer, local, version, Some((tls, exporter)));
        Ok((stream, Arc::new(info)))
    }
}

/// The version of HTTP of a connection without TLS: HTTP/2 begins with `PRI * HTTP/2.0`, and no method of HTTP/1.1 is `PRI` (RFC 9113 §3.4).
async fn first_bytes_tell(socket: &mut Metered) -> io::Result<Version> {
    const PREFACE: &[u8] = b"PRI ";
    let mut start = [0; PREFACE.len()];
    let mut read = 0;
    let version = loop {
        match socket.read(&mut start[read..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
        if start[..read] != PREFACE[..read] {
            break Version::HTTP_11;
        }
        if read == PREFACE.len() {
            break Version::HTTP_2;
        }
    };
    socket.unread(Bytes::copy_from_slice(&start[..read]));
    Ok(version)
}

/// What it takes to answer a request.
struct Answering {
    dispatch: Dispatch,
    proxies: TrustedProxies,
}

/// Hands a request to its binding.
async fn answer(
    request: Request<Incoming>,
    with: Arc<Answering>,
    info: Arc<ConnectionInfo>,
    in_flight: InFlight,
) -> Result<Response<Reply>, Infallible> {
    let in_flight = Arc::new(in_flight);
    let reading = Arc::clone(&in_flight);
    let answering = AssertUnwindSafe(async {
        let (mut head, body) = request.into_parts();
        if let Some(client) = with.proxies.client(info.peer(), &head.headers) {
            head.extensions.insert(ClientAddress(client));
        }
        head.extensions.insert(info);
        let mut service = with.dispatch.find(&head);
        let body = match http_body::Body::is_end_stream(&body) {
            true => empty(),
            false => body
                .map_err(move |error| {
                    // A body may be read on behind its answer: its bytes are not the head of the next request.
                    let _held = &reading;
                    transport_error(error).into()
                })
                .boxed_unsync(),
        };
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(Request::from_parts(head, body)).await
    });
    let response = match answering.catch_unwind().await {
        Ok(Ok(response)) => response,
        Err(_) => {
            // The panic hook has told where.
            tracing::error!("a service panicked; answered with status 500");
            failed()
        }
    };
    Ok(response.map(|body| Reply::new(body, in_flight)))
}

fn failed() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Runs a connection under its time limits.
struct Drive {
    activity: Arc<Activity>,
    http2: bool,
    stopping: watch::Receiver<bool>,
    peer: Address,
}

impl Drive {
    async fn run<C>(mut self, connection: C)
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let mut connection = pin!(connection);
        let mut alarm = pin!(sleep_until(Instant::now()));
        let mut ended = tokio::select! {
            _ = self.stopping.wait_for(|stopping| *stopping) => None,
            () = self.activity.dismissed() => Some(Watched::Dismissed),
            ended = self.activity.watch(self.http2, connection.as_mut(), alarm.as_mut()) => Some(ended),
        };
        if ended.is_none() {
            // No more requests are taken: GOAWAY, or `Connection: close` after the one in flight.
            connection.as_mut().graceful_shutdown();
            ended = Some(
                self.activity
                    .watch(self.http2, connection.as_mut(), alarm)
                    .await,
            );
        }
        let peer = &self.peer;
        match ended {
            Some(Watched::Ended(Err(error))) => {
                tracing::debug!(%peer, error = &error as &dyn Error, "a connection ended");
            }
            Some(Watched::Expired(Waiting::Request)) => {
                self.farewell(connection.as_mut(), FAREWELL).await;
            }
            Some(Watched::Dismissed) => self.farewell(connection.as_mut(), SHORT_FAREWELL).await,
            Some(Watched::Expired(Waiting::Head)) => {
                tracing::debug!(%peer, "the head of a request took too long");
            }
            Some(Watched::Expired(Waiting::Reader)) => {
                tracing::debug!(%peer, "nothing of a reply was read for too long");
            }
            Some(Watched::Ended(Ok(()))) | None => {}
        }
    }

    /// Says goodbye and closes. A request that crosses the goodbye is answered.
    async fn farewell<C>(&self, mut connection: Pin<&mut C>, limit: Duration)
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        connection.as_mut().graceful_shutdown();
        while timeout(limit, connection.as_mut()).await.is_err() && self.activity.is_busy() {}
    }
}
