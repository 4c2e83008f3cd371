//! Connections that stay open whatever is sent on them, under no client of ours.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use comity_core::{Operations, error::FederationError};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, is_grpc};
use comity_http::HttpServer;
use comity_net::{Dispatch, Listener, ListenerOptions};
use comity_proto as pb;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tonic::Status;
use tower::util::BoxCloneSyncService;

use crate::{credentials::DESTINATION, recorder::Recorder};

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Http1,
    Http2,
    /// gRPC, in the form of its endpoint.
    Invoke,
    /// gRPC, as a message of its own.
    Typed,
}

impl Way {
    pub(super) const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::Invoke, Self::Typed];
}

/// What a peer was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) errcode: String,
    pub(super) message: String,
}

impl Answer {
    pub(super) fn good() -> Self {
        Self {
            status: 200,
            errcode: String::new(),
            message: String::new(),
        }
    }

    fn read(status: u16, body: &[u8]) -> Self {
        // A body may have any such status.
        if (200..300).contains(&status) {
            return Self::good();
        }
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self {
            status,
            errcode: text("errcode"),
            message: text("error"),
        }
    }

    /// Our detail of a status; a status without one is not the answer to a call.
    pub(super) fn of_status(status: &Status) -> Option<Self> {
        let details = tonic_types::pb::Status::decode(status.details()).ok()?;
        let mut details = details.details.iter();
        let ours = details.find(|any| any.type_url.ends_with("FederationErrorDetail"))?;
        let detail = pb::FederationErrorDetail::decode(&ours.value[..]).unwrap();
        let error = FederationError::from_http(
            detail.http_status as u16,
            None,
            detail.body.clone().unwrap_or_default(),
        );
        assert_eq!(
            status.code() as i32,
            i32::from(error.kind().code()),
            "{detail:?}"
        );
        assert_eq!(error.errcode(), detail.errcode.as_deref(), "{detail:?}");
        Some(Self {
            status: detail.http_status as u16,
            errcode: detail.errcode.unwrap(),
            message: detail.message,
        })
    }
}

/// Every binding on one port, before a recorder that verifies nobody.
pub(super) async fn serve(recorder: &Recorder) -> SocketAddr {
    let service = BoxCloneSyncService::new(recorder.clone());
    let operations = Operations::federation;
    let http = HttpServer::new(operations(), service.clone());
    let grpc = GrpcServer::new(
        operations(),
        Codecs::federation(),
        service,
        GrpcServerOptions::default(),
    );
    let listener = Listener::bind(("127.0.0.1", 0), ListenerOptions::default())
        .await
        .unwrap();
    let address = listener.local_addr();
    let dispatch = Dispatch::new(http.boxed()).with(is_grpc, grpc.into_service());
    tokio::spawn(listener.serve(dispatch, std::future::pending()));
    address
}

/// One connection. It is never dialled again.
pub(super) struct Connection {
    pub(super) way: Way,
    io: Io,
}

enum Io {
    /// By hand: a client would wait until its whole body is out before it reads the answer, or not be ready again.
    Http1(BufReader<TcpStream>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub(super) async fn open(way: Way, address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let io = if way == Way::Http1 {
            Io::Http1(BufReader::new(tcp))
        } else {
            let io = TokioIo::new(tcp);
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Io::Http2(sender)
        };
        Self { way, io }
    }

    /// Sends a request in the form of its endpoint, however the connection carries that.
    pub(super) async fn call(&mut self, method: &str, target: &str, body: Option<Bytes>) -> Answer {
        if self.way == Way::Invoke {
            return self.invoke(method, target, body).await;
        }
        let body = body.unwrap_or_default();
        if let Io::Http1(io) = &mut self.io {
            let (status, body) = http1(io, method, target, &body).await;
            return Answer::read(status, &body);
        }
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{DESTINATION}{target}"))
            .body(Full::new(body))
            .unwrap();
        let (head, body) = self.send(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer::read(head.status.as_u16(), &body)
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let Io::Http2(sender) = &mut self.io else {
            panic!("not HTTP/2");
        };
        sender.ready().await.expect("the connection is kept");
        sender
            .send_request(request)
            .await
            .expect("the request is answered")
    }

    async fn invoke(&mut self, method: &str, target: &str, body: Option<Bytes>) -> Answer {
        let request = pb::InvokeRequest {
            method: method.to_owned(),
            target: target.to_owned().into(),
            content: body,
            content_type: None,
        };
        let message = framed(&[request.encode_to_vec()]);
        let reply = self
            .rpc("comity.federation.v1.Invocation/Invoke", &[], message)
            .await;
        let frames = match reply {
            Ok(frames) => frames,
            Err(status) => return Answer::of_status(&status).unwrap(),
        };
        let mut frames = &frames[..];
        let (mut status, mut body) = (0, Vec::new());
        while let [_, a, b, c, d, rest @ ..] = frames {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            match pb::InvokeReply::decode(&rest[..length]).unwrap().frame {
                Some(pb::invoke_reply::Frame::Head(head)) => status = head.status as u16,
                Some(pb::invoke_reply::Frame::Data(data)) => body.extend_from_slice(&data),
                _ => {}
            }
            frames = &rest[length..];
        }
        Answer::read(status, &body)
    }

    /// Calls a method of gRPC with any bytes; gives the reply's frames.
    pub(super) async fn rpc(
        &mut self,
        method: &str,
        metadata: &[(&str, String)],
        body: Bytes,
    ) -> Result<Bytes, Status> {
        let mut request = Request::post(format!("http://{DESTINATION}/{method}"))
            .header("content-type", "application/grpc");
        for (name, value) in metadata {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let (head, body) = self.send(request).await.into_parts();
        if let Some(status) = Status::from_header_map(&head.headers) {
            return Err(status);
        }
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_else(HeaderMap::new);
        let status = Status::from_header_map(&trailers).expect("a status ends every reply");
        match status.code() {
            tonic::Code::Ok => Ok(body.to_bytes()),
            _ => Err(status),
        }
    }
}

/// One exchange over HTTP/1.1.
async fn http1(
    io: &mut BufReader<TcpStream>,
    method: &str,
    target: &str,
    body: &[u8],
) -> (u16, Vec<u8>) {
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {DESTINATION}\r\nContent-Length: {length}\r\n\r\n"
    );
    io.write_all(&[head.as_bytes(), body].concat())
        .await
        .expect("the connection is kept");
    let status = line(io).await;
    let status = status.split(' ').nth(1).unwrap_or_default().parse();
    let status = status.expect("the request is answered on a kept connection");
    let mut length = None;
    loop {
        let header = line(io).await.to_ascii_lowercase();
        assert_ne!(header, "connection: close", "{method} {target}");
        if header.is_empty() {
            break;
        }
        if let Some(bytes) = header.strip_prefix("content-length: ") {
            length = bytes.parse().ok();
        }
    }
    let mut body = Vec::new();
    if let Some(length) = length {
        piece(io, length, &mut body).await;
        return (status, body);
    }
    loop {
        let length = usize::from_str_radix(&line(io).await, 16).unwrap();
        piece(io, length, &mut body).await;
        assert_eq!(line(io).await, "");
        if length == 0 {
            return (status, body);
        }
    }
}

async fn line(io: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    io.read_line(&mut line).await.unwrap();
    line.trim_end().to_owned()
}

async fn piece(io: &mut BufReader<TcpStream>, length: usize, into: &mut Vec<u8>) {
    let begin = into.len();
    into.resize(begin + length, 0);
    io.read_exact(&mut into[begin..]).await.unwrap();
}

/// Messages as gRPC frames them.
pub(crate) fn framed(messages: &[Vec<u8>]) -> Bytes {
    let mut framed = BytesMut::new();
    for message in messages {
        framed.put_u8(0);
        framed.put_u32(message.len() as u32);
        framed.extend_from_slice(message);
    }
    framed.freeze()
}
