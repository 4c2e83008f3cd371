//! A wrong configuration is refused with the file, the line and the reason.

use std::{path::Path, time::Duration};

use comity_gateway::{
    Config, ConfigError, HomeserverAddress, ListenAddress, PathPrefix, PeerBinding,
};
use tempfile::TempDir;

use crate::setting::Authority;

/// The whole of it, as the documentation shows it.
const EXAMPLE: &str = r#"server_name = "hs1.example"
[homeserver]                      # the one beside it
url = "http://127.0.0.1:18081"    # or "unix:/run/hs.sock"
[egress]
listen = "127.0.0.1:18101"        # or "unix:/run/gateway.sock"
secret_file = "egress.secret"
[listen]
address = "127.0.0.1:18448"
certificate = "tls.crt"
key = "tls.key"
[trust]
ca = ["ca.crt"]                   # added to the system's
allow_addresses = ["127.0.0.0/8"] # otherwise private ranges are refused
[bindings]
grpc = true                       # kill switch: false serves and offers HTTPS only
[peers."hs2.example"]
binding = "grpc"                  # "auto" (default) | "https" | "grpc"
target = "127.0.0.1:18449"        # where to connect, for either binding; otherwise discovered
required = false                  # true: fail rather than fall back
[admin]
listen = "127.0.0.1:18480"        # /metrics (Prometheus), /health, /ready, and / : a page a person reads
"#;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let authority = Authority::new();
        let (chain, key) = authority.certificate("hs1.example");
        let (_, other) = authority.certificate("hs1.example");
        folder.write("tls.crt", &chain);
        folder.write("tls.key", &key);
        folder.write("other.key", &other);
        folder.write("ca.crt", &authority.root);
        folder.write("egress.secret", "abc\n");
        folder.write("empty", "\n");
        folder
    }

    fn write(&self, file: &str, content: &str) {
        std::fs::write(self.0.path().join(file), content).unwrap();
    }

    fn file(&self) -> String {
        self.0.path().join("gateway.toml").display().to_string()
    }

    fn read(&self, text: &str) -> Result<Config, ConfigError> {
        Config::read(&self.file(), text)
    }

    /// Line and reason for the example with one line put in place of another.
    fn refusal(&self, line: &str, other: &str) -> (usize, String) {
        assert!(EXAMPLE.contains(line), "{line}");
        let error = self.read(&EXAMPLE.replacen(line, other, 1)).unwrap_err();
        assert_eq!(error.file, self.file());
        let line = error.line.unwrap();
        assert_eq!(
            error.to_string(),
            format!("{}:{line}: {}", error.file, error.reason)
        );
        (line, error.reason)
    }
}

#[test]
fn the_example_is_read() {
    let config = Folder::new().read(EXAMPLE).unwrap();
    assert_eq!(config.server_name.as_str(), "hs1.example");
    let beside = HomeserverAddress::Tcp {
        host: "127.0.0.1".to_owned(),
        port: 18081,
    };
    assert_eq!(config.homeserver.address, beside);
    assert_eq!(config.homeserver.paths, PathPrefix::DEFAULT);
    assert_eq!(
        config.egress.listen,
        ListenAddress::Tcp("127.0.0.1:18101".parse().unwrap())
    );
    assert!(config.egress.secret.is(b"abc"));
    assert_eq!(
        config.listen.address,
        ListenAddress::Tcp("127.0.0.1:18448".parse().unwrap())
    );
    assert!(config.listen.tls.is_some() && !config.listen.danger_deliver_unverified);
    assert!(config.bindings.grpc);
    let peer = &config.peers["hs2.example"];
    assert_eq!(peer.binding, PeerBinding::Grpc);
    assert_eq!(peer.target.as_ref().unwrap().to_string(), "127.0.0.1:18449");
    assert!(!peer.required);
    assert_eq!(
        config.admin.unwrap().listen,
        "127.0.0.1:18480".parse().unwrap()
    );
    assert!(config.trust.guard.permits("127.0.0.1".parse().unwrap()));
    assert!(!config.trust.guard.permits("10.0.0.1".parse().unwrap()));
}

#[test]
fn little_is_enough() {
    let text = r#"
server_name = "hs1.example"
homeserver.url = "unix:/run/hs.sock"
egress = { listen = "unix:/run/gateway.sock", secret_file = "egress.secret" }
listen = { address = "unix:/run/in.sock", tls = false, trusted_proxies = ["unix", "10.0.0.0/8"] }
"#;
    let config = Folder::new().read(text).unwrap();
    assert_eq!(
        config.homeserver.address,
        HomeserverAddress::Unix("/run/hs.sock".into())
    );
    assert_eq!(
        config.egress.listen,
        ListenAddress::Unix("/run/gateway.sock".into())
    );
    assert_eq!(
        config.listen.address,
        ListenAddress::Unix("/run/in.sock".into())
    );
    assert!(config.listen.tls.is_none() && config.peers.is_empty() && config.admin.is_none());
    assert!(config.bindings.grpc);
    assert_eq!(config.limits.drain, Duration::from_secs(30));
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let folder = Folder::new();
    for (line, other, at, reason) in [
        (
            "[listen]",
            "[listn]",
            7,
            "there is no setting `listn` here; did you mean `listen`?",
        ),
        (
            "grpc = true",
            "grcp = true",
            15,
            "there is no setting `grcp` here; did you mean `grpc`?",
        ),
        (
            "required = false",
            "require = false",
            19,
            "there is no setting `require` here; did you mean `required`?",
        ),
        (
            "server_name = \"hs1.example\"",
            "server_nam = \"x\"",
            1,
            "there is no setting `server_nam` here; did you mean `server_name`?",
        ),
        (
            "server_name = \"hs1.example\"",
            "",
            1,
            "missing field `server_name`",
        ),
        (
            "server_name = \"hs1.example\"",
            "server_name = 7",
            1,
            "invalid type: integer `7`, expected a string",
        ),
        (
            "grpc = true",
            "grpc = \"yes\"",
            15,
            "invalid type: string \"yes\", expected a boolean",
        ),
        (
            "grpc = true",
            "grpc = true\ngrpc = true",
            16,
            "duplicate key",
        ),
        ("\"hs1.example\"", "\"a_b\"", 1, "\"a_b\" is no server name"),
        (
            "http://127.0.0.1:18081",
            "https://127.0.0.1:18081",
            3,
            "called without TLS",
        ),
        (
            "http://127.0.0.1:18081",
            "127.0.0.1:18081",
            3,
            "no URL of the homeserver",
        ),
        (
            "http://127.0.0.1:18081",
            "http://127.0.0.1:18081/x",
            3,
            "no host and port, and nothing else",
        ),
        (
            "http://127.0.0.1:18081",
            "http://u@127.0.0.1",
            3,
            "no host and port, and nothing else",
        ),
        (
            "http://127.0.0.1:18081",
            "http://127.0.0.1:0",
            3,
            "the port is none",
        ),
        (
            "http://127.0.0.1:18081",
            "unix:hs.sock",
            3,
            "begins with a slash",
        ),
        (
            "listen = \"127.0.0.1:18101\"",
            "listen = \"0.0.0.0:18101\"",
            5,
            "loopback or a Unix socket only",
        ),
        (
            "listen = \"127.0.0.1:18101\"",
            "listen = \"192.0.2.1:18101\"",
            5,
            "loopback or a Unix socket only",
        ),
        (
            "listen = \"127.0.0.1:18101\"",
            "listen = \"[::]:18101\"",
            5,
            "loopback or a Unix socket only",
        ),
        (
            "listen = \"127.0.0.1:18101\"",
            "listen = \"localhost:18101\"",
            5,
            "nowhere to listen",
        ),
        (
            "secret_file = \"egress.secret\"",
            "secret_file = \"nothing\"",
            6,
            "cannot be read",
        ),
        (
            "secret_file = \"egress.secret\"",
            "secret_file = \"empty\"",
            6,
            "holds no secret",
        ),
        (
            "address = \"127.0.0.1:18448\"",
            "address = \"18448\"",
            8,
            "nowhere to listen",
        ),
        (
            "key = \"tls.key\"",
            "",
            7,
            "`certificate` and `key` are missing",
        ),
        (
            "key = \"tls.key\"",
            "key = \"other.key\"",
            9,
            "certificate or key",
        ),
        ("key = \"tls.key\"", "key = \"empty\"", 9, "no private key"),
        (
            "key = \"tls.key\"",
            "key = \"tls.key\"\ntls = false",
            9,
            "of no use with `tls = false`",
        ),
        (
            "key = \"tls.key\"",
            "key = \"tls.key\"\ntrusted_proxies = [\"proxy\"]",
            11,
            "no range of addresses",
        ),
        (
            "ca = [\"ca.crt\"]",
            "ca = [\"ca.crt\", \"empty\"]",
            12,
            "no certificate found",
        ),
        (
            "\"127.0.0.0/8\"",
            "\"127.0.0.0/33\"",
            13,
            "no range of addresses",
        ),
        (
            "[peers.\"hs2.example\"]",
            "[peers.\"hs1.example\"]",
            16,
            "the server's own name",
        ),
        (
            "[peers.\"hs2.example\"]",
            "[peers.\"h s\"]",
            16,
            "no server name",
        ),
        (
            "[peers.\"hs2.example\"]",
            "[peers.hs2.example]",
            16,
            "there is no setting `example` here",
        ),
        (
            "binding = \"grpc\"",
            "binding = \"http\"",
            17,
            "there is no binding \"http\"; did you mean \"https\"?",
        ),
        (
            "target = \"127.0.0.1:18449\"",
            "target = \"127.0.0.1\"",
            18,
            "needs a port",
        ),
        (
            "target = \"127.0.0.1:18449\"",
            "target = \"hs2.example:99999\"",
            18,
            "needs a port",
        ),
        (
            "[admin]",
            "[limits]\ncalls = 0\n[admin]",
            21,
            "from 1 to 1000000",
        ),
        (
            "[admin]",
            "[limits]\ndrain_seconds = 86400\n[admin]",
            21,
            "an hour at most",
        ),
        (
            "[admin]",
            "[discovery]\ndns = [\"localhost\"]\n[admin]",
            21,
            "no IP address and port",
        ),
        (
            "[admin]",
            "[homeserver]\nurl = \"x\"\n[admin]",
            20,
            "duplicate key",
        ),
        (
            "listen = \"127.0.0.1:18480\"",
            "listen = \"18480\"",
            21,
            "no IP address and port",
        ),
    ] {
        let (found, said) = folder.refusal(line, other);
        assert!(said.contains(reason), "{other}: {said}");
        assert_eq!(found, at, "{other}: {said}");
    }
}

#[test]
fn required_says_which_binding() {
    let text = EXAMPLE
        .replace("binding = \"grpc\"", "")
        .replace("required = false", "required = true");
    let error = Folder::new().read(&text).unwrap_err();
    assert_eq!(error.line, Some(16));
    assert!(error.reason.contains("set `binding`"), "{error}");
}

#[test]
fn paths_are_opened_by_name() {
    let folder = Folder::new();
    let with = |paths: &str| {
        let line = "url = \"http://127.0.0.1:18081\"";
        folder.read(&EXAMPLE.replace(line, &format!("{line}\npaths = {paths}\n")))
    };
    let opened = with(r#"["/_matrix/key/", "/_matrix/media/"]"#).unwrap();
    assert_eq!(
        opened.homeserver.paths,
        [PathPrefix::Key, PathPrefix::LegacyMedia]
    );
    for bad in ["/_matrix/client/", "/_matrix/media", "/", ""] {
        let error = with(&format!("[\"{bad}\"]")).unwrap_err();
        assert_eq!(error.line, Some(4));
        assert!(error.reason.contains("did you mean"), "{error}");
    }
}

#[test]
fn text_that_is_no_toml_is_refused_and_harms_nothing() {
    let folder = Folder::new();
    let deep = format!("server_name = {}", "[".repeat(100_000));
    for text in [
        "",
        "\0",
        "=",
        "[",
        "server_name = \"",
        "\u{feff}",
        "a.b.c.d = 1",
        &deep,
    ] {
        assert!(folder.read(text).is_err());
    }
}

#[test]
fn a_file_that_is_not_there_has_no_line() {
    let error = Config::read_file(Path::new("/nowhere/gateway.toml")).unwrap_err();
    assert_eq!(error.line, None);
    assert!(
        error
            .to_string()
            .starts_with("/nowhere/gateway.toml: the file cannot be read")
    );
}

#[test]
fn nothing_secret_is_shown() {
    let config = Folder::new().read(EXAMPLE).unwrap();
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("abc") && !shown.contains("PRIVATE"),
        "{shown}"
    );
}
