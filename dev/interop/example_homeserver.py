"""Comity's example homeserver (`comity serve`) and an unmodified Synapse: each joins rooms of the other's, and both talk.

Nothing is between them but TLS. Ours finds Synapse by its name, and is told what to do by lines on its standard input.
"""

import contextlib
import itertools
import json
import subprocess
import threading
from urllib.parse import quote

from client import Refused
from process import Program, free_port
from scenario import Pair as Base
from scenario import over
from topologies import stage
from waiting import NotYet, until

# 12 is Synapse's default, and rooms of 11 have IDs with a server's name.
VERSIONS = ("11", "12")

# More than Synapse gives in one answer to `get_missing_events`.
MISSED = 30


@contextlib.contextmanager
def topology(lab):
    """`comity serve` and a Synapse."""
    with stage(lab, "example") as on:
        synapse = on.synapse("synapse")
        on.start_directly(synapse)
        ours = Ours(lab, on.folder / "ours")
        on.at_end(lambda: ours.program and ours.program.kill())
        ours.start()
        synapse.wait()
        yield Pair(ours, synapse)


class Told(Program):
    """A program that takes lines and gives lines: the output is read as JSON, and errors go to the log."""

    def __init__(self, name, command, log, env, hear):
        self.name = name
        self.log = log
        self.asked = False
        with open(log, "ab") as errors:
            command = [str(part) for part in command]
            pipe = subprocess.PIPE
            self.child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True, env=env)
        Program.running.append(self)
        Program.started.append(self)
        threading.Thread(target=lambda: [hear(json.loads(line)) for line in self.child.stdout], daemon=True).start()

    def tell(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()


class Ours:
    """`comity serve`. Its data outlives `kill` and `start`."""

    def __init__(self, lab, folder):
        self.lab = lab
        self.folder = folder
        folder.mkdir(parents=True)
        self.port = free_port()
        self.server_name = f"localhost:{self.port}"
        self.certificate, self.key = lab.authority.certify("ours")
        self.program = None
        self.changed = threading.Condition()
        self.answers = []

    def start(self):
        """Starts it, and waits until it is ready."""
        self.answers.clear()
        self.program = Told(
            "comity serve",
            [
                self.lab.comity, "serve", "--name", self.server_name, "--data", self.folder / "data",
                "--listen", f"127.0.0.1:{self.port}", "--certificate", self.certificate, "--key", self.key,
                "--ca", self.lab.authority.certificate, "--allow-address", "127.0.0.0/8", "--allow-address", "::1",
            ],  # fmt: skip
            self.folder / "serve.log",
            {**self.lab.environment, "RUST_LOG": "warn,comity_homeserver=debug"},
            self._hear,
        )
        ready = self._answer()
        assert ready["ready"] == self.server_name, ready

    def _hear(self, said):
        # What arrives in a room is looked up when it is wanted.
        if "arrived" not in said and "missed" not in said:
            with self.changed:
                self.answers.append(said)
                self.changed.notify_all()

    def _answer(self):
        def come():
            return self.answers or not self.program.alive()

        with self.changed:
            assert self.changed.wait_for(come, timeout=75.0) and self.answers, "comity serve does not answer"
            return self.answers.pop(0)

    def do(self, *words):
        """Gives a command that has to succeed, and its result."""
        line = " ".join(words)
        self.program.tell(line)
        answer = self._answer()
        assert "ok" in answer, f"{line}: {answer}"
        return answer["result"]

    def says(self, room, text):
        """Sends a message of alice's, which the other server has to take."""
        servers = self.do("send", "alice", room, text)["servers"]
        assert set(servers.values()) == {"taken"}, f"{text!r}: {servers}"

    def sets(self, room, kind, content, key="-"):
        self.do("set", "alice", room, kind, key, json.dumps(content))

    def bodies(self, room):
        events = self.do("read", room, "200")
        return [event["content"].get("body") for event in events if event["type"] == "m.room.message"]

    def hears(self, room, text):
        def heard():
            bodies = self.bodies(room)
            if text not in bodies:
                raise NotYet(f"it has {bodies[-3:]}")
            return True

        until(f"ours has {text!r}", heard)

    def membership(self, room, user):
        return self.do("members", room).get(user)

    def state(self, room):
        return {(event["type"], event["state_key"]): event["event_id"] for event in self.do("state", room)}


class Alice:
    """Our user, as the client of the other server names users."""

    def __init__(self, user_id):
        self.id = user_id


class Pair(Base):
    """The two servers, with a user on each: alice is ours, bob is Synapse's."""

    def __init__(self, ours, synapse):
        self.ours = ours
        self.synapse = synapse
        self.notes = None
        self.words = itertools.count(1)
        self.alice = Alice(ours.do("user", "alice", "Alice of ours")["user_id"])
        self.bob = synapse.user("bob", "Bob")

    @property
    def servers(self):
        """Those that have an access log."""
        return (self.synapse,)

    def word(self, begin):
        """A word that was not used before."""
        return f"{begin}{next(self.words)}"

    def our_room(self, version):
        """A public room of alice's that bob has joined by its alias."""
        made = self.ours.do("create", "alice", "public", f"version={version}", f"alias={self.word('ours')}")
        assert self.bob.join(made["alias"]) == made["room_id"]
        return made["room_id"]

    def their_room(self, version):
        """A public room of bob's that alice has joined by its alias."""
        alias = self.word("theirs")
        room = self.bob.create_room("Theirs", room_version=version, room_alias_name=alias)
        joined = self.ours.do("join", "alice", f"#{alias}:{self.synapse.server_name}")
        assert (joined["room_id"], joined["room_version"], joined["refused"]) == (room, version, []), joined
        return room

    def rooms_of_both(self):
        return [make(version) for version in VERSIONS for make in (self.our_room, self.their_room)]

    def bob_gets_power(self, room, version):
        """Enough to change state."""
        users = {self.bob.id: 50}
        if version == "11":
            users[self.alice.id] = 100
        self.ours.sets(room, "m.room.power_levels", {"users": users})
        until("bob may", lambda: not refused(lambda: self.bob.set_state(room, "m.room.topic", {"topic": self.word("may ")})))

    def talk(self, room):
        """Each says something that the other hears, twice, and both see one state. Synapse begins: ours leaves a server that was down alone
        for a minute, unless it speaks."""
        for _ in range(2):
            text = self.word("from Synapse ")
            self.bob.say(room, text)
            self.ours.hears(room, text)
            text = self.word("from ours ")
            self.ours.says(room, text)
            self.bob.hears(room, text)
        self.agree(room)

    def agree(self, room):
        """Both have the same state, event for event."""

        def same():
            ours = self.ours.state(room)
            events = self.bob.get(f"/v3/rooms/{quote(room, safe='')}/state")
            theirs = {(event["type"], event["state_key"]): event["event_id"] for event in events}
            differences = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
            if differences:
                raise NotYet(f"they differ in {differences}")
            return True

        until("both have the same state", same)


def refused(action, status=403, errcode="M_FORBIDDEN"):
    """Whether Synapse refuses an action like this."""
    try:
        action()
    except Refused as error:
        assert (error.status, error.errcode) == (status, errcode), error
        return True
    return False


@over("send")
def Synapse_joins_a_room_of_ours_by_its_alias_and_both_talk(pair):
    for version in VERSIONS:
        pair.talk(pair.our_room(version))


@over("query/directory", "make_join", "send_join", "send")
def ours_joins_a_room_of_Synapses_by_its_alias_and_both_talk(pair):
    for version in VERSIONS:
        pair.talk(pair.their_room(version))


@over()
def Synapse_joins_a_room_of_ours_by_its_ID_and_reads_what_was_said_before(pair):
    for version in VERSIONS:
        room = pair.ours.do("create", "alice", "public", f"version={version}")["room_id"]
        earlier = [pair.word("earlier ") for _ in range(20)]
        for text in earlier:
            pair.ours.do("send", "alice", room, text)
        pair.bob.join(room, via=pair.ours.server_name)
        until("bob reads what was said before", lambda: pair.bob.bodies(room) == earlier)
        pair.talk(room)


@over("make_join", "send_join")
def Synapse_invites_a_user_of_ours_who_joins(pair):
    for version in VERSIONS:
        room = pair.bob.create_room("Private", preset="private_chat", room_version=version)
        pair.bob.invite(room, pair.alice)
        [invitation] = pair.ours.do("invitations", "alice")
        assert (invitation["room_id"], invitation["via"]) == (room, pair.synapse.server_name), invitation
        pair.ours.do("join", "alice", room)
        assert pair.ours.do("invitations", "alice") == []
        pair.talk(room)


@over("invite")
def ours_invites_a_user_of_Synapses_who_joins(pair):
    for version in VERSIONS:
        room = pair.ours.do("create", "alice", f"version={version}", "name=A private room")["room_id"]
        pair.ours.do("invite", "alice", room, pair.bob.id)
        events = pair.bob.waits_until("is invited", lambda: pair.bob.invites.get(room))
        assert {"m.room.create", "m.room.name", "m.room.member"} <= {event["type"] for event in events}, events
        pair.bob.join(room, via=pair.ours.server_name)
        pair.talk(room)


@over("make_leave", "send_leave", "invite")
def each_rejects_an_invitation_of_the_other(pair):
    for version in VERSIONS:
        room = pair.bob.create_room("Private", preset="private_chat", room_version=version)
        pair.bob.invite(room, pair.alice)
        pair.ours.do("leave", "alice", room)
        until("Synapse knows that alice rejected", lambda: pair.bob.membership(room, pair.alice) == "leave")

        room = pair.ours.do("create", "alice", f"version={version}")["room_id"]
        pair.ours.do("invite", "alice", room, pair.bob.id)
        pair.bob.waits_until("is invited", lambda: pair.bob.invites.get(room))
        pair.bob.leave(room)
        until("ours knows that bob rejected", lambda: pair.ours.membership(room, pair.bob.id) == "leave")


@over("make_join", "send_join")
def each_leaves_a_room_of_the_other_and_comes_back(pair):
    for version in VERSIONS:
        room = pair.our_room(version)
        pair.bob.leave(room)
        until("ours knows that bob left", lambda: pair.ours.membership(room, pair.bob.id) == "leave")
        pair.ours.do("send", "alice", room, "while bob was away")
        pair.bob.join(room, via=pair.ours.server_name)
        pair.talk(room)

        room = pair.their_room(version)
        pair.ours.do("leave", "alice", room)
        until("Synapse knows that alice left", lambda: pair.bob.membership(room, pair.alice) == "leave")
        pair.bob.say(room, "while alice was away")
        pair.ours.do("join", "alice", room, pair.synapse.server_name)
        pair.talk(room)


@over("invite")
def a_user_of_Synapses_knocks_on_a_room_of_ours_and_is_let_in(pair):
    for version in VERSIONS:
        room = pair.ours.do("create", "alice", "knock", f"version={version}")["room_id"]
        pair.bob.knock(room, pair.ours.server_name, "let me in")
        until("ours knows that bob knocked", lambda: pair.ours.membership(room, pair.bob.id) == "knock")
        pair.ours.do("invite", "alice", room, pair.bob.id)
        pair.bob.waits_until("is invited", lambda: pair.bob.invites.get(room))
        pair.bob.join(room, via=pair.ours.server_name)
        pair.talk(room)


@over()
def Synapse_asks_ours_for_profiles_public_rooms_and_device_keys(pair):
    name = pair.word("A listed room ")
    room = pair.ours.do("create", "alice", "public", f"name={name}")["room_id"]
    assert pair.bob.get(f"/v3/profile/{quote(pair.alice.id)}")["displayname"] == "Alice of ours"
    listed = pair.bob.get("/v3/publicRooms", server=pair.ours.server_name)["chunk"]
    assert room in [found["room_id"] for found in listed], listed
    search = {"filter": {"generic_search_term": name.lower()}}
    found = pair.bob.post("/v3/publicRooms", search, [("server", pair.ours.server_name)])["chunk"]
    assert [(room["room_id"], room["name"]) for room in found] == [(room, name)], found
    keys = pair.bob.query_keys(pair.alice)
    assert not keys["failures"], keys
    for missing in (f"profile/{quote('@nobody:' + pair.ours.server_name)}", f"directory/room/{quote('#nothing:' + pair.ours.server_name)}"):
        assert refused(lambda: pair.bob.get(f"/v3/{missing}"), 404, "M_NOT_FOUND"), missing


@over("send")
def what_is_allowed_is_judged_alike(pair):
    for version in VERSIONS:
        room = pair.our_room(version)
        assert refused(lambda: pair.bob.set_state(room, "m.room.topic", {"topic": "mine"}))
        pair.bob_gets_power(room, version)
        pair.agree(room)
        pair.ours.sets(room, "m.room.member", {"membership": "ban"}, pair.bob.id)
        until("bob is out", lambda: refused(lambda: pair.bob.say(room, "still here")))
        assert refused(lambda: pair.bob.join(room, via=pair.ours.server_name))


@over("get_missing_events")
def ours_is_killed_and_keeps_everything_and_catches_up(pair):
    rooms = pair.rooms_of_both()
    invited = pair.bob.create_room("Private", preset="private_chat")
    pair.bob.invite(invited, pair.alice)
    for room in rooms:
        pair.talk(room)
    before = {room: (pair.ours.state(room), pair.ours.bodies(room)) for room in rooms}

    pair.ours.program.kill()
    # In a room of Synapse's of version 11, and in one of ours of version 12.
    missed = {room: [pair.word("missed ") for _ in range(MISSED)] for room in rooms[1:3]}
    for room, texts in missed.items():
        for text in texts:
            pair.bob.say(room, text)
    # So that it forgets what it would have sent: of each room it sends the latest event, and ours has to ask for the others.
    pair.synapse.stop()
    pair.synapse.start_again()
    pair.synapse.wait()
    pair.ours.start()

    for room, (state, bodies) in before.items():
        assert pair.ours.state(room) == state, room
        # Synapse may have delivered something already.
        assert pair.ours.bodies(room)[: len(bodies)] == bodies, room
    assert [invitation["room_id"] for invitation in pair.ours.do("invitations", "alice")] == [invited]
    assert pair.bob.get(f"/v3/profile/{quote(pair.alice.id)}")["displayname"] == "Alice of ours"
    for room in rooms:
        pair.talk(room)
        texts = missed.get(room, [])
        bodies = pair.ours.bodies(room)
        assert [body for body in bodies if body in texts] == texts, bodies
    pair.ours.do("join", "alice", invited)
    pair.talk(invited)


@over("send")
def Synapse_is_stopped_and_asks_ours_for_what_it_missed(pair):
    rooms = pair.rooms_of_both()
    pair.synapse.stop()
    missed = {room: [pair.word("missed ") for _ in range(5)] for room in rooms}
    for room, texts in missed.items():
        for text in texts:
            servers = pair.ours.do("send", "alice", room, text)["servers"]
            assert servers[pair.synapse.server_name] != "taken", servers
    pair.synapse.start_again()
    pair.synapse.wait()
    for room, texts in missed.items():
        pair.talk(room)
        until("Synapse has what it missed", lambda: set(texts) <= set(pair.bob.bodies(room)))


@over("send")
def both_change_the_state_while_they_cannot_talk_and_agree_afterwards(pair):
    for version in VERSIONS:
        room = pair.our_room(version)
        pair.bob_gets_power(room, version)
        pair.agree(room)
        pair.ours.program.stop()
        pair.bob.set_state(room, "m.room.topic", {"topic": "of Synapse"})
        pair.bob.set_state(room, "m.room.name", {"name": "of Synapse"})
        pair.synapse.stop()
        pair.ours.start()
        pair.ours.sets(room, "m.room.topic", {"topic": "of ours"})
        pair.ours.sets(room, "m.room.avatar", {"url": "mxc://example.org/abc"})
        pair.synapse.start_again()
        pair.synapse.wait()
        pair.talk(room)


@over()
def a_stop_is_clean(pair):
    assert pair.ours.program.stop() == 0
    pair.ours.start()


ALL = [
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
