"""Who may not pass a gateway, and what may not be found in its logs."""

import http.client
import json
import socket
import ssl

from scenario import over

OUTSIDE = [
    "/",
    "/_synapse/admin/v1/server_version",
    "/_synapse/replication/x",
    "/_matrix/client/versions",
    "/_matrix/client/v3/account/whoami",
    "/_matrix/media/v3/config",
    "/_matrix/federation/../client/versions",
    "/_matrix/federation/%2e%2e/client/versions",
    "/_matrix/federation/%2E%2E/client/versions",
    "/_matrix/federation//../client/versions",
    "/_matrix//client/versions",
    "/_matrix/%63lient/versions",
    "/_matrix%2fclient%2fversions",
    "/%5fsynapse/admin/v1/server_version",
    "/_matrix/federation",
]


@over()
def a_stranger_reaches_nothing_of_the_homeserver_but_federation(pair):
    gateway = pair.hs1.gateway
    answered = len(pair.hs1.access_log.read_text().splitlines())
    for target in OUTSIDE:
        status, body = ask(gateway, target)
        assert status == 404 and body.get("errcode") == "M_UNRECOGNIZED", (target, status, body)
    status, body = ask(gateway, "/_matrix/federation/v1/version")
    assert status == 200 and body["server"]["name"] == "Synapse", (status, body)
    lines = pair.hs1.access_log.read_text().splitlines()[answered:]
    reached = [target for target in OUTSIDE for line in lines if f'"GET {target} HTTP/' in line]
    assert not reached, reached


@over()
def an_operation_that_nobody_registered_needs_a_signature(pair):
    status, body = ask(pair.hs1.gateway, "/_matrix/federation/unstable/org.example/secret")
    assert status == 401 and body.get("errcode") in ("M_UNAUTHORIZED", "M_FORBIDDEN", "M_MISSING_TOKEN"), (status, body)


@over()
def the_way_out_is_open_to_the_homeserver_alone(pair):
    gateway = pair.hs1.gateway
    signature = "A" * 86
    own = f'X-Matrix origin="{pair.hs1.server_name}",destination="{pair.hs2.server_name}",key="ed25519:a",sig="{signature}"'
    other = own.replace(pair.hs1.server_name, "elsewhere.example", 1)
    secret = {"Proxy-Authorization": f"Bearer {gateway.secret}"}
    before = len(pair.hs2.received())
    for headers in (
        {"Authorization": own},
        {"Authorization": own, "Proxy-Authorization": "Bearer guess"},
        {"Authorization": other, **secret},
    ):
        status, body = hand_over(gateway, f"matrix-federation://{pair.hs2.server_name}/_matrix/federation/v1/version", headers)
        assert status in (401, 403, 407), (headers, status, body)
        assert body.get("errcode"), body
    # What is no federation request does not go out either.
    status, body = hand_over(gateway, "http://127.0.0.1/", {"Authorization": own, **secret})
    assert 400 <= status < 500, (status, body)
    assert len(pair.hs2.received()) == before, pair.hs2.received()[before:]


@over()
def no_log_of_a_gateway_holds_a_credential(pair):
    for server in pair.servers:
        if not server.gateway:
            continue
        log = (server.folder / "gateway.log").read_text(errors="replace")
        assert log, f"the gateway of {server.label} has logged nothing at all"
        if server.gateway.environment:
            assert "TRACE" in log, f"the gateway of {server.label} was to log everything"
        for secret in (server.gateway.secret, "X-Matrix origin", "sig=", "Bearer ", pair.alice.token, pair.bob.token):
            assert secret not in log, f"{secret!r} stands in the log of the gateway of {server.label}"


def ask(gateway, target):
    """A GET from outside: status and JSON."""
    context = ssl.create_default_context(cafile=gateway.lab.authority.certificate)
    plain = socket.create_connection(("127.0.0.1", gateway.port), 10)
    with context.wrap_socket(plain, server_hostname=gateway.host) as stream:
        return _exchange(stream, target, {})


def hand_over(gateway, target, headers):
    """A GET as the homeserver sends it: absolute form, to the egress listener."""
    if gateway.unix:
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(10)
        stream.connect(f"{gateway.unix.name}/egress.sock")
    else:
        stream = socket.create_connection(("127.0.0.1", gateway.egress_port), 10)
    with stream:
        return _exchange(stream, target, headers)


def _exchange(stream, target, headers):
    # By hand: an HTTP client would tidy the target up.
    lines = [f"GET {target} HTTP/1.1", "Host: localhost", "Connection: close", *(f"{name}: {value}" for name, value in headers.items())]
    stream.sendall("\r\n".join([*lines, "", ""]).encode())
    reply = http.client.HTTPResponse(stream)
    reply.begin()
    return reply.status, json.loads(reply.read() or b"null") or {}


ALL = [
    a_stranger_reaches_nothing_of_the_homeserver_but_federation,
    an_operation_that_nobody_registered_needs_a_signature,
    the_way_out_is_open_to_the_homeserver_alone,
    no_log_of_a_gateway_holds_a_credential,
]
