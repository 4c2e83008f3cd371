"""A Synapse from PyPI, unmodified, on SQLite and loopback: its configuration, its start and its end.

Only what an operator can write into `homeserver.yaml` is changed. Two settings differ from what a production server would have because of
what is tested (the trusted CA, and loopback being allowed), and the rest so that a run is short: rate limits are lifted, passwords cost
little, and a destination that was down is tried again after a second or two instead of up to ten minutes. How long a *request* may take is
Synapse's own default.
"""

import base64
import json
import os
import re
import sys

from client import User, request
from process import Program, free_port, listens

_UNLIMITED = {"per_second": 10000, "burst_count": 10000}


class Synapse:
    """One homeserver. Its folder keeps database and media between `stop` and `start`, as on a real machine."""

    def __init__(self, label, server_name, folder, authority):
        self.label = label
        self.server_name = server_name
        self.folder = folder
        self.authority = authority
        self.client_port = free_port()
        self.program = None
        folder.mkdir(parents=True)
        seed = base64.b64encode(os.urandom(32)).decode().rstrip("=")
        (folder / "signing.key").write_text(f"ed25519 a_{label} {seed}\n")
        self.access_log = folder / "access.log"
        self.access_log.touch()

    @property
    def client_url(self):
        return f"http://127.0.0.1:{self.client_port}"

    def start(self, federation):
        """Starts it with the settings that say how it federates: `direct` below, or `Gateway.federation`. `wait` comes next."""
        settings = self._settings()
        settings.update({key: value for key, value in federation.items() if key != "listeners"})
        settings["listeners"] += federation["listeners"]
        # JSON is YAML, and the standard library writes it.
        (self.folder / "homeserver.yaml").write_text(json.dumps(settings, indent=1))
        (self.folder / "log.yaml").write_text(json.dumps(self._logging(), indent=1))
        self.start_again()

    def start_again(self):
        """Starts it as it was configured last."""
        self.program = Program(
            f"Synapse {self.label}",
            [sys.executable, "-m", "synapse.app.homeserver", "--config-path", "homeserver.yaml"],
            self.folder / "synapse.log",
            cwd=self.folder,
        )

    def wait(self):
        """Waits until it answers its clients."""
        self.program.wait_for("it listens", lambda: listens(self.client_port))
        request(self.client_url, "GET", "/_matrix/client/versions")

    def stop(self):
        self.program.stop()

    def user(self, localpart, displayname=None):
        """A new account, logged in."""
        return User(self.label, self.client_url, self.server_name, localpart, displayname)

    def received(self):
        """The federation requests of others that it has answered, in order: `(method, path and query, status)`."""
        requests = []
        for line in self.access_log.read_text(errors="replace").splitlines():
            found = _PROCESSED.search(line)
            # Looking for an event, it may ask itself as well.
            if found and found["origin"] != self.server_name:
                requests.append((found["method"], found["target"], int(found["status"])))
        return requests

    def _settings(self):
        return {
            "server_name": self.server_name,
            "pid_file": str(self.folder / "pid"),
            "listeners": [plain(self.client_port, ["client"])],
            "database": {"name": "sqlite3", "args": {"database": str(self.folder / "homeserver.db")}},
            "media_store_path": str(self.folder / "media"),
            "signing_key_path": str(self.folder / "signing.key"),
            "log_config": str(self.folder / "log.yaml"),
            "federation_custom_ca_list": [str(self.authority.certificate)],
            # Loopback is a private range.
            "ip_range_blacklist": [],
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "report_stats": False,
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "bcrypt_rounds": 4,
            "room_list_publication_rules": [{"action": "allow"}],
            "allow_public_rooms_over_federation": True,
            "federation": {
                "destination_min_retry_interval": "1s",
                "destination_retry_multiplier": 1,
                "destination_max_retry_interval": "1s",
                "max_long_retry_delay": "2s",
            },
            "rc_message": _UNLIMITED,
            "rc_registration": _UNLIMITED,
            "rc_login": {"address": _UNLIMITED, "account": _UNLIMITED, "failed_attempts": _UNLIMITED},
            "rc_admin_redaction": _UNLIMITED,
            "rc_joins": {"local": _UNLIMITED, "remote": _UNLIMITED},
            "rc_joins_per_room": _UNLIMITED,
            "rc_invites": {"per_room": _UNLIMITED, "per_user": _UNLIMITED, "per_issuer": _UNLIMITED},
            "rc_presence": {"per_user": _UNLIMITED},
            "rc_room_creation": _UNLIMITED,
            "rc_media_create": _UNLIMITED,
            "rc_federation": {"window_size": 1000, "sleep_limit": 10000, "sleep_delay": 1, "reject_limit": 10000, "concurrent": 100},
        }

    def _logging(self):
        def file(name):
            return {"class": "logging.FileHandler", "filename": str(self.folder / name), "formatter": "plain"}

        return {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"plain": {"format": "%(asctime)s %(name)s %(levelname)s %(request)s %(message)s"}},
            "handlers": {"all": file("synapse.log"), "access": file("access.log")},
            "loggers": {
                "synapse.access": {"level": "INFO", "handlers": ["access"]},
                "synapse.storage.SQL": {"level": "WARNING"},
            },
            "root": {"level": "INFO", "handlers": ["all"]},
        }


def plain(port, resources, **more):
    """A listener without TLS."""
    return {
        "port": port,
        "type": "http",
        "tls": False,
        "bind_addresses": ["127.0.0.1"],
        "resources": [{"names": resources}],
        **more,
    }


def direct(port, certificate, key):
    """Federation as Synapse does it by itself: TLS on the port of its name, and requests straight to the other server."""
    listener = plain(port, ["federation"])
    listener["tls"] = True
    return {"listeners": [listener], "tls_certificate_path": str(certificate), "tls_private_key_path": str(key)}


# Synapse's access log: … {hs1.test} Processed request: 0.010sec/… 93B 200 "PUT /_matrix/federation/v1/send/1 HTTP/1.1" "Synapse/1.163.2" …
_PROCESSED = re.compile(
    r'\{(?P<origin>[^}]*)\} Processed request: .*? (?P<status>\d{3})!? "(?P<method>[A-Z]+) (?P<target>/_matrix/(?:federation|key)/\S*) HTTP/'
)
