//! HTTP/1.1 by hand, over TLS: what no client of ours would send.

use std::time::Duration;

use comity_core::transport::Route;
use comity_net::{AddressGuard, ClientTls, Connector, Protocol, Stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::setting::Serving;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection.
pub struct Raw {
    stream: Stream,
    read: Vec<u8>,
}

/// One response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The head, its names in lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header that comes once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    #[track_caller]
    pub fn assert(&self, status: u16, errcode: &str, of: &str) {
        assert_eq!(self.status, status, "{of}: {self:?}");
        let named = format!("\"errcode\":\"{errcode}\"");
        assert!(self.body.contains(&named), "{of}: {self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{of}"
        );
    }
}

impl Raw {
    pub async fn open(serving: &Serving) -> Self {
        let connector = match serving.root() {
            Some(root) => Connector::new(ClientTls::from_pem(root.as_bytes()).unwrap()),
            None => Connector::danger_without_tls(),
        };
        let route = Route {
            addresses: vec![serving.address],
            host: "matrix.test".to_owned(),
            certificate_name: "matrix.test".to_owned(),
        };
        let connector = connector.with_guard(AddressGuard::default().allow_loopback());
        let connected = connector.connect(&route, Protocol::Http1).await.unwrap();
        Self {
            stream: connected.stream,
            read: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have closed already, which its answer tells.
        let _ = timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await;
        let _ = timeout(PATIENCE, self.stream.flush()).await;
    }

    /// Sends a request and reads its answer.
    pub async fn ask(&mut self, line: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let mut head = format!("{line} HTTP/1.1\r\nHost: matrix.test\r\n{headers}");
        if !body.is_empty() || line.starts_with("PUT") || line.starts_with("POST") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "\r\n";
        self.send([head.as_bytes(), body].concat()).await;
        let answer = match line.starts_with("HEAD ") {
            true => self.bodiless().await,
            false => self.answer().await,
        };
        answer.unwrap_or_else(|| panic!("no answer to {line} {headers}"))
    }

    /// The next answer; nothing if the connection was closed instead.
    pub async fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.bodiless().await?;
        let length = answer
            .header("content-length")
            .map(|text| text.parse().unwrap());
        let body = match (length, answer.header("transfer-encoding")) {
            (Some(length), _) => self.bytes(length).await?,
            (None, Some(_)) => self.chunks().await?,
            (None, None) if matches!(answer.status, 100 | 204 | 304) => Vec::new(),
            (None, None) => self.rest().await,
        };
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Some(answer)
    }

    /// The next answer's head, if no body follows.
    async fn bodiless(&mut self) -> Option<Answer> {
        let head = self.until(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = head.strip_prefix("http/1.1 ").expect("a status line");
        Some(Answer {
            status: status[..3].parse().unwrap(),
            body: String::new(),
            head,
        })
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.until(b"\r\n").await?;
            let size = String::from_utf8(size).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            body.extend(self.bytes(size).await?);
            self.until(b"\r\n").await?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.read.windows(end.len()).position(|at| at == end);
            if let Some(at) = found {
                return Some(self.read.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.read.len() < length {
            self.more().await?;
        }
        Some(self.read.drain(..length).collect())
    }

    /// All that comes until the connection is closed.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await.is_some() {}
        std::mem::take(&mut self.read)
    }

    async fn more(&mut self) -> Option<()> {
        let mut piece = [0; 16 << 10];
        let reading = timeout(PATIENCE, self.stream.read(&mut piece));
        match reading.await.expect("the server answers or closes in time") {
            Ok(0) | Err(_) => None,
            Ok(bytes) => {
                self.read.extend_from_slice(&piece[..bytes]);
                Some(())
            }
        }
    }
}
