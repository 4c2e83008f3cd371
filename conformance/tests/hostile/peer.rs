//! Who throws: connections that carry anything, and that insist on an answer or an end in time.

use bytes::Bytes;
use comity_net::Protocol;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::listener::{PATIENCE, Serving};

/// What a peer got: an answer whole, or the end of its connection or stream.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer {
        status: u16,
        /// Of the head and behind the body.
        headers: HeaderMap,
        body: Bytes,
    },
    Ended,
}

impl Outcome {
    /// An answer that says whose fault it is, if it is one. A server that failed for what it was sent would say 500.
    #[track_caller]
    pub(crate) fn assert_no_failure(&self, of: &dyn std::fmt::Debug) {
        if let Self::Answer { status, body, .. } = self {
            assert!(*status < 500 || *status == 501, "{of:?}: {status} {body:?}");
        }
    }
}

/// A connection that is opened anew when it was closed.
pub(crate) struct Peer<'s> {
    serving: &'s Serving,
    protocol: Protocol,
    sender: Option<Sender>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl<'s> Peer<'s> {
    pub(crate) fn new(serving: &'s Serving, protocol: Protocol) -> Self {
        Self {
            serving,
            protocol,
            sender: None,
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Sends a request and takes the whole answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Outcome {
        let exchange = timeout(PATIENCE, self.exchange(request));
        let outcome = exchange.await.expect("answered or cut off in time");
        match outcome {
            Ok(response) => response,
            Err(_) => {
                self.sender = None;
                Outcome::Ended
            }
        }
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Outcome, hyper::Error> {
        let response = match self.ready().await? {
            Sender::Http1(sender) => sender.send_request(request).await?,
            Sender::Http2(sender) => sender.send_request(request).await?,
        };
        collect(response).await
    }

    async fn ready(&mut self) -> Result<&mut Sender, hyper::Error> {
        let usable = match &mut self.sender {
            Some(Sender::Http1(sender)) => sender.ready().await.is_ok(),
            Some(Sender::Http2(sender)) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let connector = self.serving.connector();
            let connected = connector
                .connect(&self.serving.route(), self.protocol)
                .await;
            let io = TokioIo::new(connected.expect("the listener accepts").stream);
            self.sender = Some(match self.protocol {
                Protocol::Http1 => {
                    let (sender, connection) = http1::handshake(io).await?;
                    tokio::spawn(connection);
                    Sender::Http1(sender)
                }
                _ => {
                    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                    tokio::spawn(connection);
                    Sender::Http2(sender)
                }
            });
        }
        Ok(self.sender.as_mut().expect("made above"))
    }
}

async fn collect(response: Response<hyper::body::Incoming>) -> Result<Outcome, hyper::Error> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let mut headers = head.headers;
    headers.extend(body.trailers().cloned().unwrap_or_default());
    Ok(Outcome::Answer {
        status: head.status.as_u16(),
        headers,
        body: body.to_bytes(),
    })
}

/// How a connection goes on when everything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The peer says that nothing more comes.
    Close,
    /// It stays, and waits.
    Wait,
}

/// Writes bytes onto a connection with TLS and reads until it ends. Nothing is written after what closes the connection.
pub(crate) async fn throw(
    serving: &Serving,
    protocol: Protocol,
    bytes: &[u8],
    then: Then,
) -> Vec<u8> {
    let connected = serving
        .connector()
        .connect(&serving.route(), protocol)
        .await;
    throw_on(connected.expect("the listener accepts").stream, bytes, then).await
}

/// The same without TLS, on the port that wants it.
pub(crate) async fn throw_in_the_clear(serving: &Serving, bytes: &[u8], then: Then) -> Vec<u8> {
    let tcp = TcpStream::connect(serving.address).await.unwrap();
    throw_on(tcp, bytes, then).await
}

async fn throw_on<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    bytes: &[u8],
    then: Then,
) -> Vec<u8> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut answer = Vec::new();
    let write = async {
        // Whoever is cut off cannot write on.
        let _ = writing.write_all(bytes).await;
        let _ = writing.flush().await;
        if then == Then::Close {
            let _ = writing.shutdown().await;
        }
    };
    let exchange = async {
        let _ = tokio::join!(write, reading.read_to_end(&mut answer));
    };
    let start: Vec<u8> = bytes.iter().copied().take(200).collect();
    timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| panic!("neither answered nor cut off: {}", start.escape_ascii()));
    answer
}
