//! The recordings, read as a peer reads them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    ServerName,
    auth::{KeyFault, KeyId, KeySource, VerifyKey},
    endpoint::ReplyHead,
};

/// One request and its response.
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) target: String,
    /// Values of `Authorization`.
    pub(crate) credentials: Vec<String>,
    /// Who was asked.
    pub(crate) host: ServerName,
    pub(crate) content: Bytes,
    pub(crate) reply: ReplyHead,
    pub(crate) reply_body: Bytes,
}

/// Every exchange, by name.
pub(crate) fn exchanges() -> Vec<Exchange> {
    let mut names: Vec<String> = fs::read_dir(fixtures())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_suffix(".request.bin")?.to_owned())
        })
        .collect();
    names.sort();
    assert_eq!(
        names.len(),
        32,
        "a recording was lost, or came and is not counted"
    );
    names.into_iter().map(exchange).collect()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/fixtures")
}

fn exchange(name: String) -> Exchange {
    let request = Message::read(&fs::read(fixtures().join(format!("{name}.request.bin"))).unwrap());
    let [method, target, version] = request.start.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{name}: {}", request.start)
    };
    assert_eq!(version, "HTTP/1.1");
    let mut response = fixtures().join(format!("{name}.response.bin"));
    if !response.exists() {
        let elsewhere = Path::new(env!("CARGO_MANIFEST_DIR"));
        response = elsewhere.join(format!(
            "../rpc-core/tests/vectors/captures/{name}.response.bin"
        ));
    }
    let response = Message::read(&fs::read(response).unwrap());
    Exchange {
        method: method.to_owned(),
        target: target.to_owned(),
        credentials: request.all("authorization").map(str::to_owned).collect(),
        host: request.all("host").next().unwrap().parse().unwrap(),
        content: request.body.clone(),
        reply: ReplyHead {
            status: response.start.split(' ').nth(1).unwrap().parse().unwrap(),
            content_type: response.all("content-type").next().map(str::to_owned),
            content_disposition: response
                .all("content-disposition")
                .next()
                .map(str::to_owned),
            retry_after: response.all("retry-after").next().map(str::to_owned),
        },
        reply_body: response.body.clone(),
        name,
    }
}

/// An HTTP/1.1 message.
struct Message {
    start: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Message {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap();
        let mut lines = std::str::from_utf8(&bytes[..end]).unwrap().split("\r\n");
        let mut message = Self {
            start: lines.next().unwrap().to_owned(),
            headers: lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: Bytes::copy_from_slice(&bytes[end + 4..]),
        };
        if message
            .all("transfer-encoding")
            .any(|coding| coding == "chunked")
        {
            message.body = unchunked(&message.body);
        } else {
            let length = message.all("content-length").next().unwrap_or("0");
            assert_eq!(message.body.len(), length.parse::<usize>().unwrap());
        }
        message
    }

    fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m str> {
        let named = self.headers.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// The body behind RFC 9112's chunks.
fn unchunked(mut rest: &[u8]) -> Bytes {
    let mut body = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|window| window == b"\r\n")
            .unwrap();
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        let chunk = &rest[end + 2..];
        body.extend_from_slice(&chunk[..length]);
        assert_eq!(&chunk[length..length + 2], b"\r\n");
        rest = &chunk[length + 2..];
        if length == 0 {
            return body.into();
        }
    }
}

/// The keys that the two servers published. The recordings do not age.
#[derive(Debug)]
pub(crate) struct Keys(BTreeMap<String, BTreeMap<String, String>>);

impl Keys {
    pub(crate) fn load() -> Self {
        let text = fs::read(fixtures().join("keys.json")).unwrap();
        Self(serde_json::from_slice(&text).unwrap())
    }
}

#[async_trait]
impl KeySource for Keys {
    async fn request_key(&self, server: &ServerName, key: &KeyId) -> Result<VerifyKey, KeyFault> {
        let keys = self.0.get(server.as_str()).ok_or(KeyFault::Unknown)?;
        let key = keys.get(&key.to_string()).ok_or(KeyFault::Unknown)?;
        Ok(VerifyKey::from_base64(key).unwrap())
    }
}
