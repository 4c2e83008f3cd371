//! What `/.well-known/matrix/server` says.

use bytes::Bytes;
use comity_core::{
    ServerName,
    json::Object,
    transport::{BINDINGS_MEMBER, Offer},
};

/// Most bytes of the hint to a server's bindings. A larger one is no hint.
const MAX_HINT: usize = 4 << 10;

/// A document that is valid.
#[derive(Debug)]
pub(crate) struct Document {
    /// `m.server`.
    pub(crate) server: ServerName,
    /// The bindings that it hints at, best first.
    pub(crate) offers: Vec<Offer>,
}

impl Document {
    /// # Errors
    /// Why it is not valid.
    pub(super) fn read(body: Bytes, limit: usize) -> Result<Self, String> {
        let object =
            Object::parse(body, limit).map_err(|error| format!("it is no JSON object: {error}"))?;
        let server = object.get("m.server").ok_or("it has no m.server")?;
        let server = server.as_str().ok_or("m.server is no string")?;
        let server: ServerName = server
            .parse()
            .map_err(|error| format!("m.server is no server name: {error}"))?;
        // A name whose port is none cannot be meant.
        server
            .connect_port()
            .map_err(|error| format!("m.server cannot be connected to: {error}"))?;
        if server.is_ip_literal() && server.ip().is_none() {
            return Err("m.server is in brackets, but no address".to_owned());
        }
        let hint = object.get(BINDINGS_MEMBER);
        let hint = hint.filter(|hint| hint.as_bytes().len() <= MAX_HINT);
        Ok(Self {
            server,
            offers: hint.map_or_else(Vec::new, |hint| Offer::read_list(&hint)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Document, String> {
        Document::read(Bytes::copy_from_slice(text.as_bytes()), 1 << 20)
    }

    #[test]
    fn m_server_is_a_server_name_and_kept_as_written() {
        for name in ["a.b", "A.b:443", "1.2.3.4", "[::1]:8448"] {
            let document = read(&format!(r#"{{"x":1.5, "m.server": "{name}"}}"#)).unwrap();
            assert_eq!(document.server, name);
            assert!(document.offers.is_empty());
        }
    }

    #[test]
    fn of_two_members_the_first_never_counts() {
        let twice = read(r#"{"m.server":"a.b","m.server":"c.d"}"#);
        assert!(twice.is_err() || twice.unwrap().server == "c.d");
    }

    #[test]
    fn anything_else_is_not_valid() {
        for text in [
            "",
            "<html>",
            "[]",
            "null",
            "{}",
            "{\"m.server\":",
            r#"{"m.server":1}"#,
            r#"{"m.server":""}"#,
            r#"{"m.server":" a.b"}"#,
            r#"{"m.server":"a.b/path"}"#,
            r#"{"m.server":"https://a.b"}"#,
            r#"{"m.server":"a.b\r\nx: y"}"#,
            r#"{"m.server":"a_b"}"#,
            r#"{"m.server":"a.b:"}"#,
            r#"{"m.server":"a.b:0"}"#,
            r#"{"m.server":"a.b:65536"}"#,
            r#"{"m.server":"::1"}"#,
            r#"{"m.server":"[:::]"}"#,
            r#"{"m.server":["a.b"]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let long = "a".repeat(256);
        assert!(read(&format!(r#"{{"m.server":"{long}"}}"#)).is_err());
        assert!(Document::read(Bytes::from_static(b"{\"m.server\":\"a.b\"}"), 10).is_err());
    }

    #[test]
    fn a_hint_never_spoils_the_rest() {
        let with = |hint: &str| {
            read(&format!(
                r#"{{"m.server":"a.b","{BINDINGS_MEMBER}":{hint}}}"#
            ))
            .unwrap()
        };
        let one = with(r#"[{"binding":"grpc/1","target":"g.b:443"}]"#);
        assert_eq!(one.offers[0].binding, "grpc/1");
        for bad in ["1", "{}", "null", "[1,[],{}]"] {
            assert!(with(bad).offers.is_empty(), "{bad}");
        }
        let entry = r#"{"binding":"grpc/1"}"#;
        let many = vec![entry; 1000].join(",");
        assert!(with(&format!("[{many}]")).offers.is_empty());
        let some = vec![entry; 100].join(",");
        assert_eq!(with(&format!("[{some}]")).offers.len(), 16);
    }
}
