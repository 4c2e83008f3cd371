//! A connection held for one exchange.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use comity_core::error::{Delivery, TransportError};
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use pin_project_lite::pin_project;
use tokio::sync::OwnedSemaphorePermit;

use super::RequestBody;
use super::connections::{Connections, Http1};
use super::http2::SharedLease;
use crate::delivery::transport_error;
use crate::{Body, BoxError, ConnectionInfo};

/// A connection held for one exchange. Dropped before the response was read to its end, it closes HTTP/1.1.
pub(super) enum Lease {
    Http1 {
        connection: Http1,
        connections: Arc<Connections>,
    },
    Http2(SharedLease),
}

impl Lease {
    pub(super) fn http1(connection: Http1, connections: &Arc<Connections>) -> Self {
        Lease::Http1 {
            connection,
            connections: Arc::clone(connections),
        }
    }

    pub(super) fn http2(shared: SharedLease) -> Self {
        Lease::Http2(shared)
    }

    pub(super) fn info(&self) -> &Arc<ConnectionInfo> {
        match self {
            Lease::Http1 { connection, .. } => &connection.info,
            Lease::Http2(shared) => &shared.connection().info,
        }
    }

    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match self {
            Lease::Http1 { connection, .. } => connection.sender.try_send_request(request).await,
            Lease::Http2(shared) => {
                shared
                    .connection()
                    .sender
                    .clone()
                    .try_send_request(request)
                    .await
            }
        }
    }

    /// The response with a body that holds the connection until it was read.
    pub(super) fn attach(
        self,
        response: Response<Incoming>,
        permit: OwnedSemaphorePermit,
    ) -> Response<Body> {
        let info = Arc::clone(self.info());
        let (mut head, body) = response.into_parts();
        head.extensions.insert(info);
        let mut body = LeasedBody {
            inner: body,
            lease: Some((self, permit)),
        };
        if body.inner.is_end_stream() {
            body.release();
        }
        Response::from_parts(head, body.boxed_unsync())
    }

    fn complete(self) {
        if let Lease::Http1 {
            connection,
            connections,
        } = self
        {
            connections.give_back(connection);
        }
    }
}

pin_project! {
    struct LeasedBody {
        #[pin]
        inner: Incoming,
        lease: Option<(Lease, OwnedSemaphorePermit)>,
    }
}

impl LeasedBody {
    fn release(&mut self) {
        if let Some((lease, _permit)) = self.lease.take() {
            lease.complete();
        }
    }
}

impl HttpBody for LeasedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match ready!(self.as_mut().project().inner.poll_frame(cx)) {
            Some(Ok(frame)) => {
                if self.inner.is_end_stream() {
                    self.release();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.lease = None;
                Poll::Ready(Some(Err(cut_short(error).into())))
            }
            None => {
                self.release();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response has begun, so the request was processed, whatever the reason says with which its stream was reset.
fn cut_short(error: hyper::Error) -> TransportError {
    let error = transport_error(error);
    match error.delivery() {
        Delivery::MaybeProcessed => error,
        _ => {
            let message = error.message().to_owned();
            TransportError::new(error.kind(), Delivery::MaybeProcessed, message).with_source(error)
        }
    }
}
