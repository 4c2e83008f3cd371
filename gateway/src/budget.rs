//! How much of peers' requests, and of the replies that they have not read, is held in memory at once.
//!
//! A request is read whole before anybody knows whose it is. So what strangers can have the gateway hold is bounded for all of them together, not for each alone. What a
//! connection has received and nobody has read yet stands in the windows of HTTP/2 and the buffers of TCP, whose bounds are the listener's.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use comity_core::{
    Boxed,
    error::{CallError, FederationError},
};
use comity_net::{Body, BoxError, HttpService};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tower::Service;

/// Bytes of a request that are free: small requests go on, whatever large ones wait for.
const FREE: usize = 64 << 10;

/// When to ask again where replies take all the memory they may.
const RETRY: Duration = Duration::from_secs(5);

/// What one permit stands for.
const UNIT: usize = 1 << 10;

/// Reads requests' bodies only as far as there is room. What waits for longer than the listener's server allows is answered 408. A whole reply for which there is no
/// room is refused in place of it, since nothing else gives its memory back.
#[derive(Clone)]
pub(crate) struct Budget {
    inner: HttpService,
    room: Room,
    refusal: Arc<dyn Fn() -> Response<Body> + Send + Sync>,
}

/// Room for requests, and as much again for replies: who does not read leaves the others' requests theirs.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    requests: Arc<Semaphore>,
    replies: Arc<Semaphore>,
}

impl Room {
    /// So many bytes each.
    pub(crate) fn new(bytes: usize) -> Self {
        let units = bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS);
        Self {
            requests: Arc::new(Semaphore::new(units)),
            replies: Arc::new(Semaphore::new(units)),
        }
    }
}

/// The answer to who leaves replies unread, or comes while others do.
pub(crate) fn unread_replies() -> CallError {
    let message = "replies that were not read yet take all the memory they may (setting `limits.request_mib`)";
    FederationError::limit_exceeded(message, Some(RETRY)).into()
}

/// What a request holds, until it is answered: then nobody holds it any more, and what is still read of it is thrown away.
#[derive(Debug)]
enum Holding {
    Permit(Option<OwnedSemaphorePermit>),
    Answered,
}

type Held = Arc<Mutex<Holding>>;

impl Budget {
    /// For all requests to `inner`, with the others that share `room`. `refusal` makes the answer in place of a reply that finds none.
    pub(crate) fn new(
        inner: HttpService,
        room: Room,
        refusal: impl Fn() -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let refusal = Arc::new(refusal);
        Self {
            inner,
            room,
            refusal,
        }
    }

    /// The response, holding room for what of it is there already.
    fn counted(&self, response: Response<Body>) -> Response<Body> {
        let whole = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
        let over = whole.saturating_sub(FREE).div_ceil(UNIT);
        if over == 0 {
            return response;
        }
        let units = u32::try_from(over).unwrap_or(u32::MAX);
        match Arc::clone(&self.room.replies).try_acquire_many_owned(units) {
            Err(_) => (self.refusal)(),
            Ok(permit) => response.map(|body| {
                let permit = Arc::new(permit);
                Unread { body, permit }.boxed_unsync()
            }),
        }
    }
}

/// A reply's body with its room.
struct Unread {
    body: Body,
    permit: Arc<OwnedSemaphorePermit>,
}

impl HttpBody for Unread {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let counted = |bytes| {
            let _permit = Arc::clone(&self.permit);
            Bytes::from_owner(Counted { bytes, _permit })
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(counted))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of a reply with their room: a connection may keep them for long after it took them out of the body.
struct Counted {
    bytes: Bytes,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("room", &self.room)
            .finish_non_exhaustive()
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
        let held = Arc::new(Mutex::new(Holding::Permit(None)));
        let request = request.map(|body| {
            if body.is_end_stream() {
                return body;
            }
            let metered = Metered {
                body,
                free: FREE,
                room: Arc::clone(&self.room.requests),
                held: Arc::clone(&held),
                frame: None,
            };
            metered.boxed_unsync()
        });
        let answer = self.inner.call(request);
        let budget = self.clone();
        Box::pin(async move {
            let response = answer.await;
            // The reply has begun: the request was delivered, and nobody holds it any more.
            *held.lock().unwrap_or_else(PoisonError::into_inner) = Holding::Answered;
            response.map(|response| budget.counted(response))
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
            Holding::Permit(Some(held)) => held.merge(permit),
            Holding::Permit(none) => *none = Some(permit),
            Holding::Answered => drop(permit),
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

    fn refused() -> Response<Body> {
        let mut response = Response::new(body::empty());
        *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
        response
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
        let room = Room::new(200 << 10);
        let mut budget = Budget::new(service(go_on.clone()), room.clone(), refused);
        // 64 KiB are free, 128 of the 200 KiB are held.
        let first = tokio::spawn(budget.call(request(2)));
        while room.requests.available_permits() != 72 {
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
        assert_eq!(room.requests.available_permits(), 200);
    }

    #[tokio::test]
    async fn a_caller_that_goes_gives_its_room_back() {
        let room = Room::new(1 << 20);
        let mut budget = Budget::new(service(Arc::new(Semaphore::new(0))), room.clone(), refused);
        let call = timeout(Duration::from_millis(50), budget.call(request(4)));
        assert!(call.await.is_err());
        assert_eq!(room.requests.available_permits(), 1024);
    }

    #[tokio::test]
    async fn a_reply_holds_its_room_as_long_as_any_of_it_is_held() {
        let room = Room::new(200 << 10);
        let large = HttpService::new(tower::service_fn(|_| async {
            Ok::<_, Infallible>(Response::new(body::full(vec![0; 196 << 10])))
        }));
        let mut budget = Budget::new(large, room.clone(), refused);
        let mut ask = || budget.call(Request::new(body::empty()));
        let mut first = ask().await.expect("answers").into_body();
        assert_eq!(room.replies.available_permits(), 68);
        assert_eq!(ask().await.expect("answers").status(), 429);
        let frame = first.frame().await.expect("one").expect("whole");
        drop(first);
        let mut bytes = frame.into_data().expect("data");
        drop(bytes.split_to(190 << 10));
        assert_eq!(ask().await.expect("answers").status(), 429);
        drop(bytes);
        assert_eq!(room.replies.available_permits(), 200);
        assert_eq!(ask().await.expect("answers").status(), 200);
    }
}
