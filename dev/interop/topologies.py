"""How the two homeservers of a run are connected. Each topology starts fresh servers, and ends them."""

import contextlib
import os

from certificates import Authority
from faults import Middleman
from gateway import Gateway
from names import Dns, WellKnown
from nginx import Nginx
from process import free_port
from scenario import Pair
from synapse import Synapse, direct


class Lab:
    """Where a run keeps its files, its certificate authority and its `comity`."""

    def __init__(self, folder, comity):
        self.folder = folder
        self.comity = comity
        self.authority = Authority(folder)
        self.strangers = Authority(folder, "stranger")
        self.environment = {**os.environ, "RUST_BACKTRACE": "1"}


@contextlib.contextmanager
def directly(lab):
    """Two Synapses, and nothing between them but TLS."""
    with stage(lab, "direct") as on:
        servers = [on.synapse(label) for label in ("hs1", "hs2")]
        for server in servers:
            on.start_directly(server)
        yield on.pair(*servers)


@contextlib.contextmanager
def behind_gateways(lab):
    """Each behind a gateway; the operators have written down each other's, with gRPC."""
    with stage(lab, "gateways") as on:
        servers = [on.synapse(label) for label in ("hs1", "hs2")]
        for server, peer in (servers, reversed(servers)):
            on.start_behind_gateway(server, {peer.server_name: {"binding": "grpc", "target": f"127.0.0.1:{peer.port}"}})
        yield on.pair(*servers)


@contextlib.contextmanager
def found_by_name(lab):
    """Each behind a gateway that knows nothing of the other: names, DNS and `.well-known`, with a hint that gRPC is spoken.

    The hint leads to somebody in the middle, `server.middle`, and from there to the gateway; HTTPS goes straight. Between gateway and
    homeserver there is somebody too, `server.beside`. The gateways' listeners are handed to them, as systemd does.
    """
    with stage(lab, "names") as on:
        names = ("hs1.test", "hs2.test")
        dns = on.enter(contextlib.closing(Dns(names)))
        well_known = on.enter(contextlib.closing(WellKnown(*lab.authority.certify("names", names))))
        servers = [on.synapse(label, name) for label, name in zip(("hs1", "hs2"), names)]
        for server in servers:
            name = server.server_name
            good = lab.authority.certify(f"{server.label}-middle", [name])
            bad = lab.strangers.certify(f"{server.label}-stranger", [name])
            server.middle = on.enter(contextlib.closing(Middleman(server.port, good, bad)))
            well_known.publish(name, f"{name}:{server.port}", grpc=f"{name}:{server.middle.port}")
            on.start_behind_gateway(
                server,
                more=f'\n[discovery]\ndns = ["127.0.0.1:{dns.port}"]\nwell_known_port = {well_known.port}\n',
                between=lambda target: on.enter(contextlib.closing(Middleman(target))),
                also=Gateway.by_inherited_sockets,
            )
        yield on.pair(*servers)


@contextlib.contextmanager
def one_behind_a_gateway(lab):
    """hs1 behind a gateway, by Unix sockets, and hs2 without; neither has been told anything of the other."""
    with stage(lab, "mixed") as on:
        servers = [on.synapse(label) for label in ("hs1", "hs2")]
        on.start_behind_gateway(servers[0], also=Gateway.by_unix_sockets)
        on.start_directly(servers[1])
        yield on.pair(*servers)


@contextlib.contextmanager
def behind_nginx(lab):
    """hs1's gateway has nginx before it, which has the certificate; hs2's gateway calls it by gRPC. Both log all that there is to log."""
    with stage(lab, "nginx") as on:
        servers = [on.synapse(label) for label in ("hs1", "hs2")]
        front = on.enter(Nginx(lab, on.folder / "proxy", servers[0].port, free_port()))
        listen = 'tls = false\ntrusted_proxies = ["127.0.0.1/32"]'
        on.start_behind_gateway(servers[0], listen=listen, port=front.backend, also=Gateway.that_logs_everything)
        on.start_behind_gateway(servers[1], {servers[0].server_name: {"binding": "grpc"}}, also=Gateway.that_logs_everything)
        yield on.pair(*servers)


@contextlib.contextmanager
def stage(lab, name):
    """Ends everything that was put on it, and before that, on a failure, lets the report look at the logs."""
    with contextlib.ExitStack() as stack:
        yield Stage(lab, name, stack)


class Stage:
    """What a topology is built on."""

    def __init__(self, lab, name, stack):
        self.lab = lab
        self.folder = lab.folder / name
        self.enter = stack.enter_context
        self.at_end = stack.callback

    def synapse(self, label, name=None):
        """A homeserver that nobody has started. Without a name it is called `localhost` and a port, which is where others look for it."""
        port = free_port()
        server = Synapse(label, name or f"localhost:{port}", self.folder / label, self.lab.authority)
        server.port = port
        server.gateway = None
        self.at_end(lambda: server.program and server.program.kill())
        return server

    def start_directly(self, server):
        server.start(direct(server.port, *self.lab.authority.certify(server.label)))

    def start_behind_gateway(self, server, peers=None, more="", listen=None, port=None, between=None, also=None):
        gateway = Gateway(self.lab, server.label, server.server_name, server.folder, port or server.port)
        self.at_end(gateway.close)
        if also:
            also(gateway)
        if between:
            server.beside = between(gateway.inbound_port)
            gateway.homeserver_port = server.beside.port
        gateway.configure(listen, peers, more)
        server.gateway = gateway
        gateway.start()
        server.start(gateway.federation())

    def pair(self, *servers):
        """Waits for both servers, and makes the users."""
        for server in servers:
            server.wait()
        return Pair(*servers)
