//! How much of peers' requests is held in memory at once.
//!
//! A request is read whole before anybody knows whose it is. So what strangers can have the gateway hold is bounded for all of them together, not for each alone. What a
//! connection has received and nobody has read yet stands in the windows of HTTP/2 and the buffers of TCP, whose bounds are the listener's.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use comity_core::Boxed;
use comity_net::{Body, BoxError, HttpService};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tower::Service;

/// Bytes of a request that are free: small requests go on, whatever large ones wait for.
const FREE: usize = 64 << 10;

/// What one permit stands for.
const UNIT: usize = 1 << 10;

/// Reads requests' bodies only as far as there is room. What waits for longer than the listener's server allows is answered 408.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    inner: HttpService,
    room: Arc<Semaphore>,
}

/// What a request holds, until it is answered.
type Held = Arc<Mutex<Option<OwnedSemaphorePermit>>>;

impl Budget {
    /// `bytes` for all requests of `inner` that share `room`.
    pub(crate) fn new(inner: HttpService, room: Arc<Semaphore>) -> Self {
        Self { inner, room }
    }

    /// Room for so many bytes.
    pub(crate) fn room(bytes: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(
            bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS),
        ))
    }
}

impl Service<Request<Body>> for Budget {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Boxed<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let held = Held::default();
        let request = request.map(|body| {
            if body.is_end_stream() {
                return body;
            }
            let metered = Metered {
                body,
                free: FREE,
                room: Arc::clone(&self.room),
                held: Arc::clone(&held),
                frame: None,
            };
            metered.boxed_unsync()
        });
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await;
            // The reply has begun: the request was delivered, and nobody holds it any more.
            held.lock().unwrap_or_else(PoisonError::into_inner).take();
            response
        })
    }
}

/// Waits for room.
type Turn = Boxed<'static, Result<OwnedSemaphorePermit, AcquireError>>;

/// A body that is read as far as there is room.
struct Metered {
    body: Body,
    free: usize,
    room: Arc<Semaphore>,
    held: Held,
    /// A frame that waits for room.
    frame: Option<(Frame<Bytes>, Turn)>,
}

impl Metered {
    fn keep(&self, permit: OwnedSemaphorePermit) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Some(held) => held.merge(permit),
            None => *held = Some(permit),
        }
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.frame.is_none() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            let over = bytes.saturating_sub(this.free);
            this.free -= bytes - over;
            if over == 0 {
                return Poll::Ready(Some(Ok(frame)));
            }
            let units = u32::try_from(over.div_ceil(UNIT)).unwrap_or(u32::MAX);
            let turn = Arc::clone(&this.room).acquire_many_owned(units).boxed();
            this.frame = Some((frame, turn));
        }
        let (_, turn) = this.frame.as_mut().expect("set above");
        let permit = ready!(turn.as_mut().poll(cx)).expect("the semaphore is never closed");
        this.keep(permit);
        let (frame, _) = this.frame.take().expect("set above");
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.frame.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // What waits here was taken out of the body already.
        match &self.frame {
            None => self.body.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use comity_net::body;
    use futures_util::stream;
    use tokio::time::timeout;

    use super::*;

    const PIECE: usize = 96 << 10;

    /// Reads the body, and waits for a word before it answers, unless the body is small.
    fn service(go_on: Arc<Semaphore>) -> HttpService {
        HttpService::new(tower::service_fn(move |request: Request<Body>| {
            let go_on = Arc::clone(&go_on);
            async move {
                let length = request
                    .into_body()
                    .collect()
                    .await
                    .map_or(0, |all| all.to_bytes().len());
                if length > FREE {
                    go_on.acquire().await.expect("never closed").forget();
                }
                Ok::<_, Infallible>(Response::new(body::full(length.to_string())))
            }
        }))
    }

    fn request(pieces: usize) -> Request<Body> {
        let pieces = (0..pieces).map(|_| Ok::<_, BoxError>(Bytes::from(vec![0; PIECE])));
        Request::new(body::from_stream(stream::iter(pieces.collect::<Vec<_>>())))
    }

    async fn answered(response: Response<Body>) -> Bytes {
        response
            .into_body()
            .collect()
            .await
            .expect("whole")
            .to_bytes()
    }

    #[tokio::test]
    async fn what_finds_no_room_waits_until_another_is_answered() {
        let go_on = Arc::new(Semaphore::new(0));
        let room = Budget::room(200 << 10);
        let mut budget = Budget::new(service(go_on.clone()), room.clone());
        // 64 KiB are free, 128 of the 200 KiB are held.
        let first = tokio::spawn(budget.call(request(2)));
        while room.available_permits() != 72 {
            tokio::task::yield_now().await;
        }
        let mut second = tokio::spawn(budget.call(request(2)));
        // A small one passes by.
        let small = tokio::spawn(budget.call(Request::new(body::full(vec![0; FREE]))));
        assert_eq!(
            answered(small.await.expect("runs").expect("answers")).await,
            "65536"
        );
        assert!(
            timeout(Duration::from_millis(100), &mut second)
                .await
                .is_err()
        );
        go_on.add_permits(2);
        assert_eq!(
            answered(first.await.expect("runs").expect("answers")).await,
            "196608"
        );
        assert_eq!(
            answered(second.await.expect("runs").expect("answers")).await,
            "196608"
        );
        assert_eq!(room.available_permits(), 200);
    }

    #[tokio::test]
    async fn a_caller_that_goes_gives_its_room_back() {
        let room = Budget::room(1 << 20);
        let mut budget = Budget::new(service(Arc::new(Semaphore::new(0))), room.clone());
        let call = timeout(Duration::from_millis(50), budget.call(request(4)));
        assert!(call.await.is_err());
        assert_eq!(room.available_permits(), 1024);
    }
}
