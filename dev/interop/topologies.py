"""How the two homeservers of a run are connected. Each topology starts fresh servers, and ends them."""

import contextlib

from process import free_port
from scenario import Pair
from synapse import Synapse, direct


@contextlib.contextmanager
def directly(lab):
    """Two Synapses, and nothing between them but TLS."""
    with lab.servers("direct") as servers:
        for server in servers:
            server.start(direct(server.port, *lab.authority.certify(server.label)))
        yield ready(servers)


def ready(servers):
    """Waits for both servers, and makes the users."""
    for server in servers:
        server.wait()
    return Pair(*servers)


class Lab:
    """Where a run keeps its files, its certificate authority and its `comity`."""

    def __init__(self, folder, authority, comity):
        self.folder = folder
        self.authority = authority
        self.comity = comity

    @contextlib.contextmanager
    def servers(self, topology, folder=None):
        """Two homeservers that nobody has started, called `localhost` with a port each, which is where others look for them."""
        servers = []
        for label in ("hs1", "hs2"):
            port = free_port()
            server = Synapse(label, f"localhost:{port}", (folder or self.folder) / topology / label, self.authority)
            server.port = port
            servers.append(server)
        try:
            yield servers
        finally:
            for server in servers:
                if server.program:
                    server.program.kill()
