"""`comity gateway` beside a Synapse: its configuration, its start and end, and what its metrics say."""

import json
import pathlib
import re
import signal
import socket
import sys
import tempfile
import urllib.error
import urllib.request

from process import Program, free_port
from synapse import plain
from waiting import until

GRPC = "grpc/1"
HTTPS = "http/1"

_SAMPLE = re.compile(r'^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Gateway:
    """A gateway for one homeserver. It keeps its ports and sockets from `start` to `start`."""

    def __init__(self, lab, label, server_name, folder, port):
        self.lab = lab
        self.label = label
        self.server_name = server_name
        self.folder = folder
        # Where peers reach it.
        self.port = port
        self.admin_port = free_port()
        self.egress_port = free_port()
        # Where its homeserver takes federation requests, and where the gateway looks for it: a test may put something between.
        self.inbound_port = free_port()
        self.homeserver_port = self.inbound_port
        self.environment = {}
        self.unix = None
        self.inherited = []
        self.secret = "loopback-test-only"
        self.program = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "egress.secret").write_text(self.secret + "\n")
        (folder / "egress.secret").chmod(0o600)

    def by_unix_sockets(self):
        """Gateway and homeserver reach one another by Unix sockets. Their paths are short (108 bytes, unix(7)), wherever the checkout is."""
        self.unix = tempfile.TemporaryDirectory(prefix="interop")

    def by_inherited_sockets(self):
        """Its two TCP listeners are made here and handed to it, as systemd does (sd_listen_fds(3)): while it restarts, nobody is refused."""
        for port in (self.egress_port, self.port):
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(128)
            self.inherited.append(listener)

    def that_logs_everything(self):
        """Its log has whatever any library of its has to say, HTTP/2 frames included."""
        self.environment = {"RUST_LOG": "trace"}

    def federation(self):
        """What the homeserver's configuration needs: the two YAML blocks of docs/gateway.md."""
        listener = plain(self.inbound_port, ["federation"], x_forwarded=True)
        egress = {"host": "127.0.0.1", "port": self.egress_port}
        if self.unix:
            listener = {key: value for key, value in listener.items() if key not in ("port", "bind_addresses")}
            listener["path"] = f"{self.unix.name}/homeserver.sock"
            egress = {"path": f"{self.unix.name}/egress.sock"}
        return {
            "listeners": [listener],
            "instance_map": {"gateway": egress},
            "outbound_federation_restricted_to": ["gateway"],
            "worker_replication_secret": self.secret,
        }

    def _addresses(self):
        """Of the homeserver, of the egress listener, and of the one for peers."""
        if self.unix:
            return f"unix:{self.unix.name}/homeserver.sock", f"unix:{self.unix.name}/egress.sock", f"127.0.0.1:{self.port}"
        return f"http://127.0.0.1:{self.homeserver_port}", f"127.0.0.1:{self.egress_port}", f"127.0.0.1:{self.port}"

    def configure(self, listen=None, peers=None, more=""):
        """Writes its TOML. `peers` maps names to tables; `listen` replaces the certificate's lines."""
        self.more = more
        if listen is None:
            certificate, key = self.lab.authority.certify(f"{self.label}-gateway", [self.host, "127.0.0.1"])
            listen = f'certificate = "{certificate}"\nkey = "{key}"'
        tables = "".join(
            f'\n[peers."{name}"]\n' + "".join(f"{key} = {toml(value)}\n" for key, value in table.items())
            for name, table in (peers or {}).items()
        )
        homeserver, egress, address = self._addresses()
        self.config = self.folder / "gateway.toml"
        self.config.write_text(
            f"""server_name = "{self.server_name}"

[homeserver]
url = "{homeserver}"

[egress]
listen = "{egress}"
secret_file = "egress.secret"

[listen]
address = "{address}"
{listen}

[trust]
ca = ["{self.lab.authority.certificate}"]
allow_addresses = ["127.0.0.0/8"]

[admin]
listen = "127.0.0.1:{self.admin_port}"
{tables}{more}"""
        )

    @property
    def host(self):
        """The host of its server name."""
        return self.server_name.split(":")[0]

    def start(self):
        command = [self.lab.comity, "gateway", "--config", self.config]
        numbers = [listener.fileno() for listener in self.inherited]
        if numbers:
            launcher = pathlib.Path(__file__).with_name("pass_sockets.py")
            command = [sys.executable, launcher, ",".join(map(str, numbers)), *command]
        self.program = Program(
            f"gateway of {self.label}",
            command,
            self.folder / "gateway.log",
            env={**self.lab.environment, **self.environment},
            pass_fds=numbers,
        )
        # Not /ready: that has to wait for the homeserver, which is started next.
        self.program.wait_for("it runs", lambda: self.state() == "running")

    def stop(self):
        """Ends it as a service manager does. It has to end well."""
        status = self.program.stop()
        assert status == 0, f"the gateway of {self.label} ended with {status} after SIGTERM"

    def kill(self):
        self.program.kill()

    def wait_until_it_drains(self):
        """Waits until it says that it takes no more calls."""
        until("the gateway drains", lambda: self.state() == "draining")

    def close(self):
        """Ends it, and gives up its sockets."""
        if self.program:
            self.program.kill()
        for listener in self.inherited:
            listener.close()
        if self.unix:
            self.unix.cleanup()

    def reload(self):
        self.program.signal(signal.SIGHUP)

    def state(self):
        """What it says of itself: `running`, `draining`; `None` if it says nothing."""
        try:
            return json.loads(self._admin("/health"))["state"]
        except (OSError, urllib.error.URLError):
            return None

    def _admin(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=10) as reply:
            return reply.read().decode()

    def metrics(self):
        """Its metrics as they are now."""
        samples = []
        for line in self._admin("/metrics").splitlines():
            found = _SAMPLE.match(line)
            if found and not line.startswith("#"):
                labels = dict(_LABEL.findall(found["labels"] or ""))
                samples.append((found["name"], labels, float(found["value"])))
        return Metrics(samples)


class Metrics:
    """The samples of one reading: `(name, labels, value)`."""

    def __init__(self, samples):
        self.samples = samples

    def sum(self, name, **labels):
        """The sum of a metric's samples that have these labels."""
        return int(sum(value for _, value in self.of(name, **labels)))

    def of(self, name, **labels):
        """A metric's samples that have these labels: `(labels, value)`."""
        return [
            (own, value)
            for its, own, value in self.samples
            if its == name and all(own.get(key) == wanted for key, wanted in labels.items())
        ]

    def calls(self, direction, **labels):
        return self.sum("comity_calls_total", direction=direction, **labels)

    def operations(self, direction, **labels):
        """How many calls of each operation."""
        counts = {}
        for own, value in self.of("comity_calls_total", direction=direction, **labels):
            counts[own["operation"]] = counts.get(own["operation"], 0) + int(value)
        return counts

    def invoked(self):
        return {own["operation"]: int(value) for own, value in self.of("comity_invoke_calls_total")}

    def fallbacks(self):
        """How many fallbacks for each reason."""
        counts = {}
        for own, value in self.of("comity_fallbacks_total"):
            counts[own["reason"]] = counts.get(own["reason"], 0) + int(value)
        return counts


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"'
