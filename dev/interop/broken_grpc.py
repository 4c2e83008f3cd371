"""gRPC broken in the middle, in five ways. HTTPS is not: federation has to go on over it, in the time that Synapse gives a request."""

import threading
import time
from urllib.parse import quote

from client import Refused
from faults import Fault
from gateway import GRPC, HTTPS
from in_the_middle import catch_a_transaction, check_arrivals, most_repeated_transaction
from outages import reads_once
from scenario import over
from waiting import NotYet, until

# A transaction's first attempt, by Synapse's default (`federation.client_timeout`).
DEADLINE = 60.0

KEYS = 5


@over("send", "make_join", "send_join", "user/keys/claim")
def federation_goes_on_when_the_port_of_grpc_is_closed(pair):
    goes_on(pair, Fault.CLOSED, "connect", claimed=True)


@over("send", "make_join", "send_join", "user/keys/claim")
def federation_goes_on_when_the_certificate_of_grpc_is_a_strangers(pair):
    goes_on(pair, Fault.TLS_ERROR, "tls", claimed=True)


@over("send", "make_join", "send_join", "user/keys/claim")
def federation_goes_on_when_calls_over_grpc_are_reset_in_the_middle(pair):
    goes_on(pair, Fault.RESET, "closed", claimed=False)


@over("send", "make_join", "send_join", "user/keys/claim")
def federation_goes_on_when_grpc_answers_unimplemented(pair):
    goes_on(pair, Fault.UNIMPLEMENTED, "rejected", claimed=True)


@over("send", "make_join", "send_join", "user/keys/claim")
def federation_goes_on_when_grpc_is_a_black_hole(pair):
    goes_on(pair, Fault.BLACK_HOLE, "timeout", claimed=False)


@over("user/keys/claim")
def a_claim_whose_reply_is_lost_is_not_made_again(pair):
    repair(pair)
    owner = pair.newcomer(pair.hs1)
    assert owner.upload_keys(one_time=KEYS) == KEYS
    claim = Claim(pair.bob, owner, until_it_is_held=pair.hs1)
    assert owner.one_time_keys() == KEYS - 1, "hs1 has not given a key away, so nothing could be repeated"
    pair.hs1.middle.reset()
    claim.thread.join(DEADLINE)
    pair.hs1.beside.release()
    assert claim.failures and not claim.keys, (claim.failures, claim.keys)
    again = until("bob claims a key", lambda: succeeded(Claim(pair.bob, owner)), within=DEADLINE, every=0.5)
    assert owner.one_time_keys() == KEYS - 2, f"{owner.one_time_keys()} of {KEYS} left after one claim lost and one that gave {again}"
    metrics = pair.hs2.gateway.metrics()
    lost = metrics.calls("outbound", operation="ClaimKeys", outcome="transport_closed")
    assert lost == 1, metrics.of("comity_calls_total", direction="outbound", operation="ClaimKeys")


@over("send")
def a_transaction_whose_reply_is_lost_is_sent_again_and_taken_once(pair):
    repair(pair)
    room = pair.shared_room()
    catch_a_transaction(pair, room)
    pair.hs2.middle.reset()
    sender, receiver = pair.hs1.gateway, pair.hs2.gateway
    until("it is sent again, by HTTPS", lambda: sender.metrics().fallbacks().get("closed") == 1)
    until("it is recognized", lambda: receiver.metrics().sum("comity_coalesced_calls_total", operation="SendTransaction") == 1)
    pair.hs2.beside.release()
    check_arrivals(pair, room)
    # It came while the first was being answered, so the gateway did not even hand it on; and hs1 never knew that anything was wrong.
    assert most_repeated_transaction(pair) == 1
    unanswered = [own for own, _ in sender.metrics().of("comity_calls_total", direction="outbound") if own["outcome"] != "ok"]
    assert not unanswered, unanswered


@over("send")
def a_binding_that_is_required_is_not_fallen_back_from(pair):
    repair(pair)
    room = pair.shared_room()
    converse(pair, room, "well")
    gateway, peer = pair.hs1.gateway, pair.hs2
    gateway.stop()
    gateway.configure(peers={peer.server_name: {"binding": "grpc", "required": True}}, more=gateway.more)
    peer.middle.set(Fault.CLOSED)
    gateway.start()
    pair.alice.say(room, "late")
    until("a call fails", lambda: gateway.metrics().calls("outbound", operation="SendTransaction", outcome="transport_connect"))
    assert "late" not in pair.bob.bodies(room)
    assert gateway.metrics().calls("outbound", binding=HTTPS, outcome="ok", operation="SendTransaction") == 0
    gateway.configure(more=gateway.more)
    repair(pair)
    converse(pair, room, "well again")
    pair.bob.hears(room, "late")
    reads_once(pair.bob, room, ["well: alice", "well: bob", "late", "well again: alice", "well again: bob"])


def goes_on(pair, fault, reason, claimed):
    """Breaks gRPC and uses the two servers. `reason`: of the fallbacks, as the gateway counts them. `claimed`: whether it is certain that nothing arrived, so that even a claim of keys falls back."""
    repair(pair)
    room = pair.shared_room()
    converse(pair, room, "well")
    owner = pair.newcomer(pair.hs1)
    assert owner.upload_keys(one_time=KEYS) == KEYS
    for server in pair.servers:
        assert server.gateway.metrics().calls("outbound", binding=GRPC) > 0, "gRPC did not work in the first place"
        assert server.gateway.metrics().fallbacks() == {}, server.gateway.metrics().fallbacks()
        server.middle.spoilt = 0
        break_it(server, fault)

    start = time.monotonic()
    # Both directions meet the fault at once: a message from hs1, and from hs2 a claim, the one call that may not be sent twice.
    claim = Claim(pair.bob, owner)
    pair.alice.say(room, "first")
    pair.bob.hears(room, "first", within=DEADLINE)
    heard = time.monotonic() - start
    claim.thread.join(DEADLINE)
    left = owner.one_time_keys()
    assert left in (KEYS - 1, KEYS) and len(claim.keys) <= KEYS - left, f"{claim.keys} claimed, {left} of {KEYS} left"
    if claimed:
        assert len(claim.keys) == 1, f"nothing had been sent, so the claim should have gone over HTTPS: {claim.failures}"

    # HTTPS is in use as soon as hs2's gateway has noticed the fault, which a client's next attempt may still be too early for.
    again = until("bob claims a key", lambda: succeeded(Claim(pair.bob, owner)), within=DEADLINE, every=0.5)
    assert not again & claim.keys, (claim.keys, again)
    assert owner.one_time_keys() == left - 1
    converse(pair, room, "broken")
    other = pair.shared_room()
    converse(pair, other, "joined")
    reads_once(pair.bob, room, ["well: alice", "well: bob", "first", "broken: alice", "broken: bob"])

    for server in pair.servers:
        metrics = server.gateway.metrics()
        assert server.middle.spoilt or fault is Fault.CLOSED, "the fault met nothing"
        assert metrics.calls("outbound", binding=HTTPS, outcome="ok") > 0, metrics.operations("outbound")
        # Nobody had to ask again: the gateways' own second attempt was enough. The claim is another matter.
        failed = [own for own, _ in metrics.of("comity_calls_total", direction="outbound") if own["outcome"] != "ok"]
        assert all(own["operation"] == "ClaimKeys" and not claimed for own in failed), failed
    # The claim of hs2 falls back only if that is safe; the message of hs1 always does. What comes later finds gRPC left alone.
    fallbacks = pair.hs1.gateway.metrics().fallbacks()
    assert fallbacks.get(reason) and set(fallbacks) <= {reason, "backing_off"}, fallbacks
    pair.notes = f"the first message took {heard:.1f} s; fallbacks of hs1: {fallbacks}"


def break_it(server, fault):
    """The gateway meets the fault when it connects, or on the connection that it has."""
    if fault in (Fault.RESET, Fault.BLACK_HOLE):
        server.middle.set(fault)
        return
    # It is started again, so that no call is on a connection that is reset for the purpose: then more than one thing would be broken.
    server.gateway.stop()
    server.middle.set(fault)
    server.gateway.start()


class Claim:
    """A claim of one key, going on beside other things. It can be begun and its reply held back."""

    def __init__(self, user, owner, until_it_is_held=None):
        self.keys = set()
        self.failures = None
        if until_it_is_held:
            until_it_is_held.beside.hold(b"POST /_matrix/federation/v1/user/keys/claim")
        self.thread = threading.Thread(target=self._run, args=(user, owner), daemon=True)
        self.thread.start()
        if until_it_is_held:
            assert until_it_is_held.beside.held.wait(20), "no claim arrived"

    def _run(self, user, owner):
        try:
            reply = user.claim(owner)
        except Refused as refused:
            self.failures = refused
            return
        self.failures = reply["failures"]
        self.keys = set(reply["one_time_keys"].get(owner.id, {}).get(owner.device, {}))


def succeeded(claim):
    """The one key that was claimed."""
    claim.thread.join(DEADLINE)
    if not claim.keys:
        raise NotYet(claim.failures)
    assert len(claim.keys) == 1, claim.keys
    return claim.keys


def converse(pair, room, word):
    """A message each way."""
    pair.alice.say(room, f"{word}: alice")
    pair.bob.hears(room, f"{word}: alice")
    pair.bob.say(room, f"{word}: bob")
    pair.alice.hears(room, f"{word}: bob")


def repair(pair):
    """Nothing is broken any more, the gateways remember nothing of it, and the servers do not wait for one another."""
    for server in pair.servers:
        server.middle.set(Fault.NONE)
        server.beside.release()
    for server in pair.servers:
        server.gateway.stop()
        server.gateway.start()
    reach_one_another(pair)


def reach_one_another(pair):
    """Waits until each server gets an answer of the other: what it could not reach a moment ago, Synapse leaves alone for a while."""

    def answers(reader, server):
        stranger = pair.newcomer(server)
        try:
            return reader.get(f"/v3/profile/{quote(stranger.id, safe='')}")
        except Refused as refused:
            raise NotYet(refused) from refused

    until("hs1 reaches hs2", lambda: answers(pair.alice, pair.hs2), every=0.3)
    until("hs2 reaches hs1", lambda: answers(pair.bob, pair.hs1), every=0.3)


ALL = [
    federation_goes_on_when_the_port_of_grpc_is_closed,
    federation_goes_on_when_the_certificate_of_grpc_is_a_strangers,
    federation_goes_on_when_calls_over_grpc_are_reset_in_the_middle,
    federation_goes_on_when_grpc_answers_unimplemented,
    federation_goes_on_when_grpc_is_a_black_hole,
    a_binding_that_is_required_is_not_fallen_back_from,
    a_claim_whose_reply_is_lost_is_not_made_again,
    a_transaction_whose_reply_is_lost_is_sent_again_and_taken_once,
]
