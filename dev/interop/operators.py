"""What operators do while the servers run: choose the binding, switch gRPC off, take the gateway away again."""

from broken_grpc import converse, reach_one_another
from gateway import GRPC, HTTPS
from outages import reads_once
from scenario import over
from synapse import direct
from waiting import until


@over("send")
def the_binding_of_a_peer_is_changed_by_sighup_while_messages_flow(pair):
    room = pair.shared_room()
    gateway, peer = pair.hs1.gateway, pair.hs2.server_name
    target = f"127.0.0.1:{pair.hs2.port}"
    said = []
    for binding, counted in (("https", HTTPS), ("grpc", GRPC)):
        before = gateway.metrics().operations("outbound", binding=counted).get("SendTransaction", 0)
        gateway.configure(peers={peer: {"binding": binding, "target": target}})
        gateway.reload()

        def changed():
            said.append(f"{binding} {len(said)}")
            pair.alice.say(room, said[-1])
            pair.bob.hears(room, said[-1])
            return gateway.metrics().operations("outbound", binding=counted).get("SendTransaction", 0) > before

        until(f"hs1 calls hs2 by {binding}", changed)
    reads_once(pair.bob, room, said)
    assert gateway.metrics().fallbacks() == {}, gateway.metrics().fallbacks()


@over("send")
def grpc_is_switched_off_on_one_side_and_nothing_is_lost(pair):
    room = pair.shared_room()
    converse(pair, room, "with")
    gateway = pair.hs2.gateway
    peers = {pair.hs1.server_name: {"binding": "grpc", "target": f"127.0.0.1:{pair.hs1.port}"}}
    gateway.stop()
    gateway.configure(peers=peers, more="\n[bindings]\ngrpc = false\n")
    gateway.start()
    reach_one_another(pair)
    # hs2 neither takes nor offers it, though hs1 is told to use it and hs2 as well.
    converse(pair, room, "switched off")
    reads_once(pair.bob, room, ["with: alice", "with: bob", "switched off: alice", "switched off: bob"])
    metrics = gateway.metrics()
    by_grpc = [own for direction in ("inbound", "outbound") for own, _ in metrics.of("comity_calls_total", direction=direction, binding=GRPC)]
    assert not by_grpc, by_grpc
    assert metrics.calls("inbound", binding=HTTPS) > 0 and metrics.calls("outbound", binding=HTTPS) > 0
    gateway.stop()
    gateway.configure(peers=peers)
    gateway.start()


@over("send")
def a_homeserver_is_taken_back_from_its_gateway_without_losing_anything(pair):
    room = pair.shared_room()
    converse(pair, room, "with")
    hs2 = pair.hs2
    hs2.stop()
    hs2.gateway.stop()
    # The three keys and the listener are gone from its configuration, and it serves TLS where its gateway did.
    hs2.start(direct(hs2.port, *hs2.gateway.lab.authority.certify("hs2-again")))
    hs2.wait()
    reach_one_another(pair)
    converse(pair, room, "without")
    reads_once(pair.bob, room, ["with: alice", "with: bob", "without: alice", "without: bob"])


ALL = [
    the_binding_of_a_peer_is_changed_by_sighup_while_messages_flow,
    grpc_is_switched_off_on_one_side_and_nothing_is_lost,
    a_homeserver_is_taken_back_from_its_gateway_without_losing_anything,
]
