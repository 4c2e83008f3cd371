"""Comity's example homeserver (`comity serve`) and an unmodified Synapse: each joins rooms of the other's, and both talk.

    example_homeserver.py --comity target/debug/comity --folder target/interop/example [WORD ...]

Started with the Python of a venv that has matrix-synapse. With words, only the scenarios whose sentence has one of them run. `main` runs it alone; a
runner that has its own report calls `setting` and the functions of `SCENARIOS`.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from urllib.parse import quote, urlencode

# Both are asked for at once: 12 is Synapse's default, and the rooms of 11 have IDs with a server's name.
VERSIONS = ("11", "12")

# Longer than the slowest request of either server takes.
PATIENCE = 30.0

# More than Synapse gives in one answer to `get_missing_events`.
MISSED = 30


# --- waiting -----------------------------------------------------------------------------------------------------------------------------


def until(what, condition, within=PATIENCE):
    """Asks again and again until `condition` gives something true, and returns that."""
    end = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {within:g} s")
        time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
        return True
    except OSError:
        return False


# --- certificates ------------------------------------------------------------------------------------------------------------------------


class Authority:
    """A throw-away certificate authority in a folder, by the openssl program."""

    def __init__(self, folder):
        self.folder = folder
        self.certificate = folder / "ca.crt"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", "/CN=throw-away CA", "-keyout", "ca.key", "-out", "ca.crt")  # fmt: skip

    def certify(self, label):
        """A certificate for localhost, and its key."""
        (self.folder / f"{label}.ext").write_text("subjectAltName=DNS:localhost\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                      "-keyout", f"{label}.key", "-out", f"{label}.csr")  # fmt: skip
        self._openssl("x509", "-req", "-in", f"{label}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                      "-extfile", f"{label}.ext", "-out", f"{label}.crt")  # fmt: skip
        return self.folder / f"{label}.crt", self.folder / f"{label}.key"

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)


# --- the two servers ---------------------------------------------------------------------------------------------------------------------


class Ours:
    """`comity serve`, told what to do by lines on its standard input. Its data outlives `kill` and `start`."""

    def __init__(self, comity, folder, authority):
        self.comity = comity
        self.folder = folder
        self.authority = authority
        self.port = free_port()
        self.name = f"localhost:{self.port}"
        self.peer = None
        self.child = None
        self.certificate, self.key = authority.certify("ours")

    def start(self, peer):
        """Starts it, and waits until it is ready. `peer` is the name of the other server."""
        self.peer = peer
        self.answers = []
        self.arrived = []
        self.changed = threading.Condition()
        command = [
            self.comity, "serve", "--name", self.name, "--data", self.folder / "ours", "--listen", f"127.0.0.1:{self.port}",
            "--certificate", self.certificate, "--key", self.key, "--ca", self.authority.certificate,
            "--allow-address", "127.0.0.0/8", "--peer", f"{peer}={peer.replace('localhost', '127.0.0.1')}",
        ]  # fmt: skip
        with open(self.folder / "ours.log", "ab") as log:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "RUST_LOG": "warn,comity_homeserver=debug"},
            )
        threading.Thread(target=self._read, args=(self.child.stdout,), daemon=True).start()
        ready = self._answer()
        assert ready["ready"] == self.name, ready

    def _read(self, output):
        for line in output:
            said = json.loads(line)
            with self.changed:
                (self.arrived if "arrived" in said or "missed" in said else self.answers).append(said)
                self.changed.notify_all()

    def _answer(self):
        with self.changed:
            if not self.changed.wait_for(lambda: self.answers, timeout=75.0):
                raise AssertionError("comity serve did not answer")
            return self.answers.pop(0)

    def ask(self, *words):
        """Gives a command, and its answer."""
        line = " ".join(words)
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        return self._answer()

    def do(self, *words):
        """Gives a command that has to succeed, and its result."""
        answer = self.ask(*words)
        assert "ok" in answer, f"{' '.join(words)}: {answer}"
        return answer["result"]

    def says(self, user, room, text):
        """Sends a message, which Synapse has to take."""
        result = self.do("send", user, room, text)
        refused = {server: said for server, said in result["servers"].items() if said != "taken"}
        assert not refused, f"{text!r}: {refused}"

    def messages(self, room):
        events = self.do("read", room, "100")
        return [event["content"].get("body") for event in events if event["type"] == "m.room.message"]

    def hears(self, room, text):
        until(f"ours has {text!r}", lambda: text in self.messages(room))

    def membership(self, room, user):
        return self.do("members", room).get(user)

    def state(self, room):
        return {(event["type"], event["state_key"]): event["event_id"] for event in self.do("state", room)}

    def user_id(self, name):
        return f"@{name}:{self.name}"

    def kill(self):
        """Ends it at once, as a power cut would."""
        self.child.kill()
        self.child.wait()

    def stop(self):
        """Asks it to end, and gives its exit code."""
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(40.0)

    def log(self):
        return self.folder / "ours.log"


class Synapse:
    """A Synapse from PyPI on SQLite. Its folder keeps the database between `stop` and `start`."""

    def __init__(self, folder, authority):
        self.folder = folder / "synapse"
        self.folder.mkdir()
        self.port = free_port()
        self.client_port = free_port()
        self.name = f"localhost:{self.port}"
        self.child = None
        seed = base64.b64encode(os.urandom(32)).decode().rstrip("=")
        (self.folder / "signing.key").write_text(f"ed25519 a_synapse {seed}\n")
        certificate, key = authority.certify("synapse")
        (self.folder / "homeserver.yaml").write_text(json.dumps(self._settings(authority, certificate, key), indent=1))
        (self.folder / "log.yaml").write_text(json.dumps(self._logging(), indent=1))

    def start(self):
        with open(self.log(), "ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "synapse.app.homeserver", "--config-path", "homeserver.yaml"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for port in (self.client_port, self.port):
            until("Synapse listens", lambda: self.child.poll() is not None or listens(port), within=60.0)
        assert self.child.poll() is None, f"Synapse ended; see {self.log()}"

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(20.0)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def log(self):
        return self.folder / "synapse.log"

    def _settings(self, authority, certificate, key):
        unlimited = {"per_second": 10000, "burst_count": 10000}

        def listener(port, resource, tls):
            resources = [{"names": [resource]}]
            return {"port": port, "type": "http", "tls": tls, "bind_addresses": ["127.0.0.1"], "resources": resources}

        return {
            "server_name": self.name,
            "pid_file": str(self.folder / "pid"),
            "listeners": [listener(self.client_port, "client", False), listener(self.port, "federation", True)],
            "tls_certificate_path": str(certificate),
            "tls_private_key_path": str(key),
            "database": {"name": "sqlite3", "args": {"database": str(self.folder / "homeserver.db")}},
            "media_store_path": str(self.folder / "media"),
            "signing_key_path": str(self.folder / "signing.key"),
            "log_config": str(self.folder / "log.yaml"),
            "federation_custom_ca_list": [str(authority.certificate)],
            # Loopback is a private range.
            "ip_range_blacklist": [],
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "report_stats": False,
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "bcrypt_rounds": 4,
            "room_list_publication_rules": [{"action": "allow"}],
            "rc_message": unlimited,
            "rc_registration": unlimited,
            "rc_joins": {"local": unlimited, "remote": unlimited},
            "rc_joins_per_room": unlimited,
            "rc_invites": {"per_room": unlimited, "per_user": unlimited, "per_issuer": unlimited},
            "rc_room_creation": unlimited,
            # Otherwise a server that was down is left alone for ten minutes.
            "federation": {
                "destination_min_retry_interval": "1s",
                "destination_retry_multiplier": 1,
                "destination_max_retry_interval": "1s",
            },
        }

    def _logging(self):
        handler = {"class": "logging.StreamHandler", "formatter": "plain"}
        return {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"plain": {"format": "%(asctime)s %(name)s %(levelname)s %(request)s %(message)s"}},
            "handlers": {"all": handler},
            "loggers": {"synapse.storage.SQL": {"level": "WARNING"}},
            "root": {"level": "INFO", "handlers": ["all"]},
        }


class User:
    """An account on the Synapse, and as much of the client-server API as is needed."""

    def __init__(self, synapse, name):
        self.synapse = synapse
        self.token = None
        self.transactions = 0
        account = {"username": name, "password": "correct horse", "auth": {"type": "m.login.dummy"}}
        account = self.call("POST", "register", account)
        self.id = account["user_id"]
        self.token = account["access_token"]

    def call(self, method, path, body=None, **query):
        """A call that has to succeed: its JSON. `path` is percent-encoded already."""
        status, reply = self.attempt(method, path, body, **query)
        assert status == 200, f"{method} {path}: {status} {reply}"
        return reply

    def attempt(self, method, path, body=None, **query):
        connection = http.client.HTTPConnection("127.0.0.1", self.synapse.client_port, timeout=75.0)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        target = f"/_matrix/client/v3/{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        try:
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def room(self, version, alias=None, **more):
        settings = {"room_version": version, **more}
        if alias:
            settings.update(preset="public_chat", room_alias_name=alias)
        return self.call("POST", "createRoom", settings)["room_id"]

    def join(self, room, via):
        return self.call("POST", f"join/{quote(room, safe='')}", {}, via=via, server_name=via)["room_id"]

    def invite(self, room, user):
        self.call("POST", f"rooms/{quote(room)}/invite", {"user_id": user})

    def leave(self, room):
        self.call("POST", f"rooms/{quote(room)}/leave", {})

    def says(self, room, text):
        self.transactions += 1
        path = f"rooms/{quote(room)}/send/m.room.message/{time.time_ns()}-{self.transactions}"
        self.call("PUT", path, {"msgtype": "m.text", "body": text})

    def sets(self, room, kind, content):
        self.call("PUT", f"rooms/{quote(room)}/state/{kind}/", content)

    def messages(self, room):
        page = self.call("GET", f"rooms/{quote(room)}/messages", dir="b", limit=200)
        return [event["content"].get("body") for event in page["chunk"] if event["type"] == "m.room.message"]

    def hears(self, room, text):
        until(f"Synapse has {text!r}", lambda: text in self.messages(room))

    def state(self, room):
        events = self.call("GET", f"rooms/{quote(room)}/state")
        return {(event["type"], event["state_key"]): event["event_id"] for event in events}

    def membership(self, room, user):
        status, member = self.attempt("GET", f"rooms/{quote(room)}/state/m.room.member/{quote(user)}")
        return member.get("membership") if status == 200 else None

    def invited_to(self):
        return self.call("GET", "sync").get("rooms", {}).get("invite", {})


class Pair:
    """The two servers, with a user on each: alice is ours, bob is Synapse's."""

    def __init__(self, ours, synapse):
        self.ours = ours
        self.synapse = synapse
        self.count = 0
        self.alice = ours.do("user", "alice", "Alice of ours")["user_id"]
        self.bob = User(synapse, "bob")

    def word(self, begin):
        """A word that was not used before."""
        self.count += 1
        return f"{begin}{self.count}"

    def our_room(self, version, *words):
        """A public room of alice's that bob has joined by its alias."""
        alias = self.word("ours")
        made = self.ours.do("create", "alice", "public", f"version={version}", f"alias={alias}", *words)
        joined = self.bob.join(made["alias"], self.ours.name)
        assert joined == made["room_id"], joined
        return made["room_id"]

    def their_room(self, version):
        """A public room of bob's that alice has joined by its alias."""
        alias = self.word("theirs")
        room = self.bob.room(version, alias)
        joined = self.ours.do("join", "alice", f"#{alias}:{self.synapse.name}")
        assert joined["room_id"] == room and joined["room_version"] == version and not joined["refused"], joined
        return room

    def talk(self, room):
        """Each says something that the other hears, twice, and both see one state."""
        for _ in range(2):
            text = self.word("from ours ")
            self.ours.says("alice", room, text)
            self.bob.hears(room, text)
            text = self.word("from Synapse ")
            self.bob.says(room, text)
            self.ours.hears(room, text)
        self.agree(room)

    def agree(self, room):
        """Both have the same state, event for event."""

        def same():
            ours, theirs = self.ours.state(room), self.bob.state(room)
            return ours == theirs

        try:
            until("both have the same state", same)
        except AssertionError as error:
            ours, theirs = self.ours.state(room), self.bob.state(room)
            differences = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
            raise AssertionError(f"{error}; they differ in {differences}") from None


# --- scenarios ---------------------------------------------------------------------------------------------------------------------------


def Synapse_joins_a_room_of_ours_by_its_alias_and_both_talk(pair):
    for version in VERSIONS:
        room = pair.our_room(version)
        pair.talk(room)


def ours_joins_a_room_of_Synapses_by_its_alias_and_both_talk(pair):
    for version in VERSIONS:
        room = pair.their_room(version)
        pair.talk(room)


def Synapse_joins_a_room_of_ours_by_its_ID_and_reads_what_was_said_before(pair):
    for version in VERSIONS:
        room = pair.ours.do("create", "alice", "public", f"version={version}")["room_id"]
        earlier = [pair.word("earlier ") for _ in range(20)]
        for text in earlier:
            pair.ours.says("alice", room, text)
        pair.bob.join(room, pair.ours.name)
        until("bob reads what was said before", lambda: set(earlier) <= set(pair.bob.messages(room)))
        pair.talk(room)


def Synapse_invites_a_user_of_ours_who_joins(pair):
    for version in VERSIONS:
        room = pair.bob.room(version)
        pair.bob.invite(room, pair.alice)
        invitation = until("alice is invited", lambda: pair.ours.do("invitations", "alice"))
        assert invitation[0]["room_id"] == room and invitation[0]["via"] == pair.synapse.name, invitation
        pair.ours.do("join", "alice", room)
        assert pair.ours.do("invitations", "alice") == []
        pair.talk(room)


def ours_invites_a_user_of_Synapses_who_joins(pair):
    for version in VERSIONS:
        room = pair.ours.do("create", "alice", f"version={version}", "name=A private room")["room_id"]
        pair.ours.do("invite", "alice", room, pair.bob.id)
        invited = until("bob is invited", lambda: pair.bob.invited_to().get(room))
        shown = {event["type"] for event in invited["invite_state"]["events"]}
        assert {"m.room.create", "m.room.name", "m.room.member"} <= shown, shown
        pair.bob.join(room, pair.ours.name)
        pair.talk(room)


def each_rejects_an_invitation_of_the_other(pair):
    for version in VERSIONS:
        room = pair.bob.room(version)
        pair.bob.invite(room, pair.alice)
        until("alice is invited", lambda: pair.ours.do("invitations", "alice"))
        pair.ours.do("leave", "alice", room)
        until("Synapse knows that alice rejected", lambda: pair.bob.membership(room, pair.alice) == "leave")

        room = pair.ours.do("create", "alice", f"version={version}")["room_id"]
        pair.ours.do("invite", "alice", room, pair.bob.id)
        until("bob is invited", lambda: room in pair.bob.invited_to())
        pair.bob.leave(room)
        until("ours knows that bob rejected", lambda: pair.ours.membership(room, pair.bob.id) == "leave")


def each_leaves_a_room_of_the_other_and_comes_back(pair):
    for version in VERSIONS:
        room = pair.our_room(version)
        pair.bob.leave(room)
        until("ours knows that bob left", lambda: pair.ours.membership(room, pair.bob.id) == "leave")
        pair.ours.do("send", "alice", room, "while bob was away")
        pair.bob.join(room, pair.ours.name)
        pair.talk(room)

        room = pair.their_room(version)
        pair.ours.do("leave", "alice", room)
        until("Synapse knows that alice left", lambda: pair.bob.membership(room, pair.alice) == "leave")
        pair.bob.says(room, "while alice was away")
        pair.ours.do("join", "alice", room, pair.synapse.name)
        pair.talk(room)


def a_user_of_Synapses_knocks_on_a_room_of_ours_and_is_let_in(pair):
    for version in VERSIONS:
        room = pair.ours.do("create", "alice", "knock", f"version={version}")["room_id"]
        pair.bob.call("POST", f"knock/{quote(room)}", {}, via=pair.ours.name, server_name=pair.ours.name)
        until("ours knows that bob knocked", lambda: pair.ours.membership(room, pair.bob.id) == "knock")
        pair.ours.do("invite", "alice", room, pair.bob.id)
        until("bob is invited", lambda: room in pair.bob.invited_to())
        pair.bob.join(room, pair.ours.name)
        pair.talk(room)


def Synapse_asks_ours_for_profiles_public_rooms_and_device_keys(pair):
    name = pair.word("A listed room ")
    room = pair.ours.do("create", "alice", "public", f"name={name}")["room_id"]
    profile = pair.bob.call("GET", f"profile/{quote(pair.alice)}")
    assert profile["displayname"] == "Alice of ours", profile
    everything = pair.bob.call("GET", "publicRooms", server=pair.ours.name)
    assert room in [listed["room_id"] for listed in everything["chunk"]], everything
    found = pair.bob.call("POST", "publicRooms", {"filter": {"generic_search_term": name.lower()}}, server=pair.ours.name)
    assert [listed["name"] for listed in found["chunk"]] == [name], found
    keys = pair.bob.call("POST", "keys/query", {"device_keys": {pair.alice: []}})
    assert not keys["failures"], keys
    for missing in (f"profile/{quote(pair.ours.user_id('nobody'))}", f"directory/room/{quote('#nothing:' + pair.ours.name)}"):
        status, error = pair.bob.attempt("GET", missing)
        assert (status, error["errcode"]) == (404, "M_NOT_FOUND"), (missing, status, error)


def what_is_allowed_is_judged_alike(pair):
    for version in VERSIONS:
        room = pair.our_room(version)
        status, error = pair.bob.attempt("PUT", f"rooms/{quote(room)}/state/m.room.topic/", {"topic": "mine"})
        assert (status, error["errcode"]) == (403, "M_FORBIDDEN"), (status, error)
        power = {"users": {pair.bob.id: 50}}
        if version == "11":
            power["users"][pair.alice] = 100
        pair.ours.do("set", "alice", room, "m.room.power_levels", "-", json.dumps(power))
        until("bob may", lambda: pair.bob.attempt("PUT", f"rooms/{quote(room)}/state/m.room.topic/", {"topic": "mine"})[0] == 200)
        pair.agree(room)
        pair.ours.do("set", "alice", room, "m.room.member", pair.bob.id, json.dumps({"membership": "ban"}))
        until("bob is out", lambda: pair.bob.attempt("PUT", f"rooms/{quote(room)}/typing/{quote(pair.bob.id)}", {"typing": False})[0] == 403)
        refused = pair.bob.attempt("POST", f"join/{quote(room)}", {}, via=pair.ours.name, server_name=pair.ours.name)
        assert refused[0] == 403, refused


def ours_is_killed_and_keeps_everything_and_catches_up(pair):
    rooms = [make(version) for version in VERSIONS for make in (pair.our_room, pair.their_room)]
    invited = pair.bob.room("12")
    pair.bob.invite(invited, pair.alice)
    until("alice is invited", lambda: pair.ours.do("invitations", "alice"))
    for room in rooms:
        pair.talk(room)
    before = {room: (pair.ours.state(room), pair.ours.messages(room)) for room in rooms}

    pair.ours.kill()
    missed = {room: [pair.word("missed ") for _ in range(MISSED)] for room in rooms}
    for room, texts in missed.items():
        for text in texts:
            pair.bob.says(room, text)
        pair.bob.sets(room, "org.example.while_down", {"room": room}) if room.endswith(pair.synapse.name) else None
    pair.ours.start(pair.synapse.name)

    for room in rooms:
        state, messages = before[room]
        # Synapse may have delivered something already, and takes nothing away.
        assert state.items() <= pair.ours.state(room).items(), room
        assert messages == [text for text in pair.ours.messages(room) if text in messages], room
    assert [invitation["room_id"] for invitation in pair.ours.do("invitations", "alice")] == [invited]
    profile = pair.bob.call("GET", f"profile/{quote(pair.alice)}")
    assert profile["displayname"] == "Alice of ours", profile
    for room, texts in missed.items():
        pair.talk(room)
        until("ours has what it missed", lambda: set(texts) <= set(pair.ours.messages(room)))
    pair.ours.do("join", "alice", invited)
    pair.talk(invited)


def Synapse_is_stopped_and_asks_ours_for_what_it_missed(pair):
    rooms = [make(version) for version in VERSIONS for make in (pair.our_room, pair.their_room)]
    pair.synapse.stop()
    missed = {room: [pair.word("missed ") for _ in range(5)] for room in rooms}
    for room, texts in missed.items():
        for text in texts:
            answer = pair.ours.do("send", "alice", room, text)
            assert answer["servers"][pair.synapse.name] != "taken", answer
    pair.synapse.start()
    for room, texts in missed.items():
        pair.talk(room)
        until("Synapse has what it missed", lambda: set(texts) <= set(pair.bob.messages(room)))


def both_change_the_state_while_they_cannot_talk_and_agree_afterwards(pair):
    for version in VERSIONS:
        room = pair.our_room(version)
        power = {"users": {pair.bob.id: 50}}
        if version == "11":
            power["users"][pair.alice] = 100
        pair.ours.do("set", "alice", room, "m.room.power_levels", "-", json.dumps(power))
        until("bob may", lambda: pair.bob.attempt("PUT", f"rooms/{quote(room)}/state/m.room.topic/", {"topic": "first"})[0] == 200)
        pair.agree(room)
        pair.ours.stop()
        pair.bob.sets(room, "m.room.topic", {"topic": "of Synapse"})
        pair.bob.sets(room, "m.room.name", {"name": "of Synapse"})
        pair.synapse.stop()
        pair.ours.start(pair.synapse.name)
        pair.ours.do("set", "alice", room, "m.room.topic", "-", json.dumps({"topic": "of ours"}))
        pair.ours.do("set", "alice", room, "m.room.avatar", "-", json.dumps({"url": "mxc://example.org/abc"}))
        pair.synapse.start()
        pair.talk(room)


def a_stop_is_clean(pair):
    assert pair.ours.stop() == 0
    pair.ours.start(pair.synapse.name)


SCENARIOS = [
    Synapse_joins_a_room_of_ours_by_its_alias_and_both_talk,
    ours_joins_a_room_of_Synapses_by_its_alias_and_both_talk,
    Synapse_joins_a_room_of_ours_by_its_ID_and_reads_what_was_said_before,
    Synapse_invites_a_user_of_ours_who_joins,
    ours_invites_a_user_of_Synapses_who_joins,
    each_rejects_an_invitation_of_the_other,
    each_leaves_a_room_of_the_other_and_comes_back,
    a_user_of_Synapses_knocks_on_a_room_of_ours_and_is_let_in,
    Synapse_asks_ours_for_profiles_public_rooms_and_device_keys,
    what_is_allowed_is_judged_alike,
    ours_is_killed_and_keeps_everything_and_catches_up,
    Synapse_is_stopped_and_asks_ours_for_what_it_missed,
    both_change_the_state_while_they_cannot_talk_and_agree_afterwards,
    a_stop_is_clean,
]


def sentence(scenario):
    return scenario.__name__.replace("_", " ")


@contextlib.contextmanager
def setting(folder, comity):
    """Both servers, running in an empty folder."""
    authority = Authority(folder)
    synapse = Synapse(folder, authority)
    ours = Ours(comity, folder, authority)
    try:
        synapse.start()
        ours.start(synapse.name)
        yield Pair(ours, synapse)
    finally:
        for server in (ours, synapse):
            if server.child and server.child.poll() is None:
                server.child.kill()
                server.child.wait()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--comity", type=pathlib.Path, required=True, help="the program to test")
    arguments.add_argument("--folder", type=pathlib.Path, required=True, help="emptied first, kept afterwards")
    arguments.add_argument("words", nargs="*", help="what to run; everything without any")
    options = arguments.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    folder = options.folder.resolve()
    failed = 0
    with setting(folder, options.comity.resolve()) as pair:
        for scenario in SCENARIOS:
            if options.words and not any(word in sentence(scenario) for word in options.words):
                continue
            start = time.monotonic()
            try:
                scenario(pair)
                print(f"  ok      {time.monotonic() - start:5.2f} s  {sentence(scenario)}", flush=True)
            except Exception:
                failed += 1
                print(f"  FAILED           {sentence(scenario)}\n{traceback.format_exc()}", flush=True)
                if any(server.child.poll() is not None for server in (pair.ours, pair.synapse)):
                    break
    print(f"{failed} failed; the logs are {pair.ours.log()} and {pair.synapse.log()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
