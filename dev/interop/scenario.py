"""What a scenario is: a function whose name is a sentence, and the endpoints that it must have used."""

import dataclasses
import itertools
import time
from typing import Callable

from waiting import NotYet, until

_rooms = itertools.count(1)


@dataclasses.dataclass
class Scenario:
    """A function of a `Pair`, with the federation endpoints that the two Synapses must have answered by its end.

    The endpoints make sure that a scenario does not pass on what a server remembered: they are looked for in Synapse's own access logs,
    and so they mean the same whatever stands between the servers.
    """

    run: Callable
    endpoints: tuple

    @property
    def sentence(self):
        return self.run.__name__.replace("_", " ")


def over(*endpoints):
    """Marks a function as a scenario."""
    return lambda run: Scenario(run, endpoints)


class Pair:
    """Two homeservers that federate, with a user on each: alice on hs1, bob on hs2."""

    def __init__(self, hs1, hs2):
        self.hs1 = hs1
        self.hs2 = hs2
        self.names = itertools.count(1)
        # What a scenario found out that a reader of the report wants to know.
        self.notes = None
        self.alice = hs1.user("alice", "Älice 世界 🎉 \"quoted\" & <b>")
        self.bob = hs2.user("bob", "Bob")

    @property
    def servers(self):
        return (self.hs1, self.hs2)

    def newcomer(self, server, name="newcomer"):
        """A user whom no server has ever asked about."""
        return server.user(f"{name}{next(self.names)}")

    def shared_room(self, *others, **settings):
        """A public room of alice's that bob, and whoever else, has joined: its ID."""
        room = self.alice.create_room(f"Room {next(_rooms)}", **settings)
        for user in (self.bob, *others):
            user.join(room, via=self.hs1.server_name)
            self.alice.waits_until(f"sees {user} in the room", lambda: self.alice.membership(room, user) == "join")
        return room

    def play(self, scenario):
        """Runs it; how long it took, in seconds."""
        before = [len(server.received()) for server in self.servers]
        start = time.monotonic()
        scenario.run(self)

        def all_seen():
            seen = [
                target
                for server, skip in zip(self.servers, before)
                for _, target, _ in server.received()[skip:]
            ]
            missing = [endpoint for endpoint in scenario.endpoints if not any(used(endpoint, target) for target in seen)]
            if missing:
                raise NotYet(f"no request to {', '.join(missing)}; there were {sorted({name_of(target) for target in seen})}")
            return True

        until("the endpoints of the scenario were used", all_seen, within=5.0)
        return time.monotonic() - start


def used(endpoint, target):
    """Whether a request's target is of this endpoint: `make_join`, `user/keys/claim`."""
    return name_of(target) == endpoint


def name_of(target):
    """An endpoint's path without prefix, version, identifiers and query: `send_join` of `/_matrix/federation/v2/send_join/!a/$b?omit_members=true`."""
    parts = target.split("?")[0].split("/")[2:]
    if parts[0] == "key":
        return "key/server"
    words = parts[2:]
    fixed = 3 if words[:2] == ["user", "keys"] else 2 if words[0] in ("query", "media", "user", "openid") else 1
    return "/".join(words[:fixed])
