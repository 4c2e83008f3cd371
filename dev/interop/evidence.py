"""What the gateways' metrics say, held against what the homeservers themselves have logged."""

from gateway import GRPC, HTTPS
from scenario import name_of, over
from waiting import NotYet, until

# The operation of an endpoint, by its path and, where that is not enough, its method.
OPERATIONS = {
    "send": "SendTransaction",
    "event": "GetEvent",
    "state": "GetState",
    "state_ids": "GetStateIds",
    "event_auth": "GetEventAuth",
    "backfill": "Backfill",
    "get_missing_events": "GetMissingEvents",
    "timestamp_to_event": "GetEventByTimestamp",
    "make_join": "MakeJoin",
    "send_join": "SendJoin",
    "make_knock": "MakeKnock",
    "send_knock": "SendKnock",
    "invite": "Invite",
    "make_leave": "MakeLeave",
    "send_leave": "SendLeave",
    "GET publicRooms": "GetPublicRooms",
    "POST publicRooms": "QueryPublicRooms",
    "hierarchy": "GetHierarchy",
    "query/directory": "QueryDirectory",
    "query/profile": "QueryProfile",
    "user/devices": "GetUserDevices",
    "user/keys/claim": "ClaimKeys",
    "user/keys/query": "QueryKeys",
    "media/download": "DownloadMedia",
    "media/thumbnail": "DownloadThumbnail",
    "key/server": "GetServerKeys",
}

# What a gateway asks for itself, to check a signature. It may do so by HTTPS whatever the binding of calls is.
OWN = "GetServerKeys"


def answered(server):
    """How many requests of each operation the homeserver has answered, by its own log."""
    counts = {}
    for method, target, _ in server.received():
        name = name_of(target)
        operation = OPERATIONS.get(name) or OPERATIONS.get(f"{method} {name}") or f"{method} {target}"
        counts[operation] = counts.get(operation, 0) + 1
    return counts


def reached_it(metrics, binding):
    """How many inbound calls of each operation had an answer of the homeserver. While it was away, the gateway answered by itself."""
    counts = {}
    for own, value in metrics.of("comity_calls_total", direction="inbound", binding=binding):
        if not own["outcome"].startswith("transport_"):
            counts[own["operation"]] = counts.get(own["operation"], 0) + int(value)
    return counts


def agree(server, binding):
    """Waits until the gateway's counts of inbound calls by one binding are what its homeserver answered."""

    def same():
        here = answered(server)
        counted = reached_it(server.gateway.metrics(), binding)
        for counts in (here, counted):
            counts.pop(OWN, None)
        if here != counted:
            raise NotYet(f"answered {here}, counted {counted}")
        return here

    # The server's log and the gateway's counter are written one after the other.
    return until(f"every call that {server.label} answered came by {binding}", same, within=10.0)


@over()
def every_call_that_a_homeserver_answered_came_over_grpc(pair):
    seen = {}
    for server in pair.servers:
        for operation, count in agree(server, GRPC).items():
            seen[operation] = seen.get(operation, 0) + count
    pair.notes = f"{sum(seen.values())} calls of {len(seen)} operations over gRPC: " + ", ".join(
        f"{name} {count}" for name, count in sorted(seen.items())
    )
    assert len(seen) >= 20, seen


@over()
def no_call_went_as_invoke_and_none_fell_back(pair):
    for server in pair.servers:
        metrics = server.gateway.metrics()
        assert metrics.invoked() == {}, metrics.invoked()
        assert metrics.fallbacks() == {}, metrics.fallbacks()
        by_https = metrics.operations("outbound", binding=HTTPS)
        assert set(by_https) <= {OWN}, by_https


@over()
def every_signature_was_checked_and_none_was_wrong(pair):
    for server in pair.servers:
        if server.gateway:
            metrics = server.gateway.metrics()
            assert metrics.sum("comity_authentication_failures_total") == 0, metrics.of("comity_authentication_failures_total")
            assert metrics.sum("comity_unverified_deliveries_total") == 0, metrics.of("comity_unverified_deliveries_total")


@over()
def every_call_went_over_plain_https(pair):
    gateway = pair.hs1.gateway
    seen = agree(pair.hs1, HTTPS)
    metrics = gateway.metrics()
    assert metrics.calls("inbound", binding=GRPC) == metrics.calls("outbound", binding=GRPC) == 0
    # hs2 has no gateway: what hs1's sent is what hs2 answered.
    sent = metrics.operations("outbound", binding=HTTPS)
    here = answered(pair.hs2)
    for counts in (sent, here):
        counts.pop(OWN, None)
    assert sent == here, (sent, here)
    pair.notes = f"{sum(seen.values())} calls in, {sum(sent.values())} calls out, all by HTTPS"
