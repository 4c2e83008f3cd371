//! A binding of one's own, whole: `unix/1`, calls over a Unix socket. The codec is `comity-envelope`'s; what is left is framing.
//!
//! A frame is four bytes of length, big-endian, and so many bytes. A call is a connection: one frame with the request goes there, the reply's frames come back, and the
//! connection ends. docs/adding-a-transport.md walks through this file.

use std::{any::Any, io, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::call::{Call, Reply};
use comity_core::error::{CallError, Delivery, TransportError, TransportErrorKind};
use comity_core::transport::{Capabilities, Transport};
use comity_core::{CallService, Operations};
use comity_envelope::{MAX_CONTENT, MAX_FRAME, MAX_REQUEST, answer, read_reply, write_request};
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::{task::JoinSet, time::sleep, time::timeout};

/// The binding's name and version.
pub const BINDING: &str = "unix/1";
/// Most connections at a time; the next one waits.
pub const MAX_CONNECTIONS: usize = 256;
/// How long a caller may take to send its request, and to read each frame of its reply.
pub const PATIENCE: Duration = Duration::from_secs(60);

// [doc: client]
/// The calling side, for the server that listens at this path.
#[derive(Debug)]
pub struct UnixTransport(pub PathBuf);

#[async_trait]
impl Transport for UnixTransport {
    fn name(&self) -> &'static str {
        BINDING
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::NONE.streaming().cancellation();
        let capabilities = capabilities.deadline_propagation().delivery_certainty();
        capabilities.max_message(MAX_CONTENT)
    }

    async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        let request = write_request(&mut call)?;
        let connected = UnixStream::connect(&self.0).await;
        let mut socket = connected.map_err(|error| failed(Delivery::NotSent, error))?;
        let lost = |error| failed(Delivery::MaybeProcessed, error);
        write_frame(&mut socket, &request).await.map_err(lost)?;
        let frames = stream::try_unfold(socket, move |mut socket| async move {
            let frame = read_frame(&mut socket, MAX_FRAME).await.map_err(lost)?;
            Ok(Some((frame, socket)))
        });
        read_reply(call.operation(), frames).await
    }
}

fn failed(delivery: Delivery, error: io::Error) -> CallError {
    let (kind, what) = match delivery {
        Delivery::NotSent => (TransportErrorKind::Connect, "nobody accepts"),
        _ => (TransportErrorKind::Closed, "the connection broke"),
    };
    let failure = TransportError::new(kind, delivery, what);
    failure.with_source(error).into()
}
// [end doc]

// [doc: server]
/// The called side: answers each connection's call by `service`. Dropping the future ends every connection.
pub async fn serve(listener: UnixListener, operations: Operations, service: CallService) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() == MAX_CONNECTIONS {
            connections.join_next().await;
        }
        if let Ok((socket, _)) = listener.accept().await {
            connections.spawn(call(socket, operations.clone(), service.clone()));
        } else {
            // Out of descriptors, say: some will be free again.
            sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn call(mut socket: UnixStream, known: Operations, service: CallService) -> io::Result<()> {
    let request = timeout(PATIENCE, read_frame(&mut socket, MAX_REQUEST)).await??;
    let peer: Arc<dyn Any + Send + Sync> = Arc::new(socket.peer_cred()?);
    let (mut from, mut to) = socket.split();
    let reply = async {
        let mut frames = answer(request, &known, service, BINDING, Some(peer)).await;
        while let Some(frame) = frames.next().await {
            timeout(PATIENCE, write_frame(&mut to, &frame)).await??;
        }
        Ok(())
    };
    tokio::select! {
        done = reply => done,
        // A caller says nothing behind its request. It gives up by closing, and dropping the reply ends the work.
        _ = from.read_u8() => Ok(()),
    }
}

async fn write_frame(to: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(frame).await
}

async fn read_frame(from: &mut (impl AsyncRead + Unpin), limit: usize) -> io::Result<Bytes> {
    let length = from.read_u32().await? as usize;
    if length > limit {
        let error = format!("a frame of {length} bytes, over the limit of {limit}");
        return Err(io::Error::other(error));
    }
    let mut frame = vec![0; length];
    from.read_exact(&mut frame).await?;
    Ok(frame.into())
}
// [end doc]
