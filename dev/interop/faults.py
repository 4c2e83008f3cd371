"""Somebody in the middle of TCP connections, who can be told to spoil them."""

import contextlib
import enum
import select
import socket
import ssl
import struct
import threading

import unimplemented
from waiting import until

# TLS record types and sizes, RFC 8446 §5.1.
_APPLICATION_DATA = 23

# A client's records that are smaller are its Finished message and HTTP/2's settings; a call with its signature is larger.
_A_CALL = 400


class Fault(enum.Enum):
    """What happens to connections."""

    NONE = "nothing: bytes pass"
    CLOSED = "the port is closed"
    TLS_ERROR = "the certificate is of somebody whom nobody trusts"
    RESET = "each connection is reset once a call has been sent over it"
    UNIMPLEMENTED = "an HTTP/2 server that knows none of the methods"
    BLACK_HOLE = "bytes disappear"


class Middleman:
    """Listens on a port of its own and passes on to `target`, until a fault is set.

    `good` and `bad` are paths of a certificate and key, trusted and not: for the faults that have to answer by TLS.
    """

    def __init__(self, target, good=None, bad=None):
        self.target = target
        self.certificates = {Fault.UNIMPLEMENTED: good, Fault.TLS_ERROR: bad}
        self.fault = Fault.NONE
        # How many connections and calls met a fault: a scenario asks, so that it cannot pass without one.
        self.spoilt = 0
        self.open = set()
        # Connections of an earlier generation are to be reset.
        self.generation = 0
        self.marker = None
        self.held = threading.Event()
        self.listener = None
        self.port = 0
        self._listen()

    def set(self, fault):
        """From now on. Open connections go on if the fault is about bytes, and are reset if it is about connecting."""
        self.fault = fault
        if fault is Fault.CLOSED:
            self._close()
        elif self.listener is None:
            self._listen()
        if fault in (Fault.CLOSED, Fault.TLS_ERROR, Fault.UNIMPLEMENTED):
            self.reset()

    def reset(self):
        """Resets every open connection, and returns when that is done."""
        doomed = set(self.open)
        self.generation += 1
        until("the connections are reset", lambda: not doomed & self.open)

    def hold(self, marker):
        """Keeps back every reply on a connection from the request with `marker` in its bytes on. `held` is set once there is one."""
        self.held.clear()
        self.marker = marker

    def release(self):
        """Lets go what was kept back."""
        self.marker = None

    def close(self):
        self._close()
        self.reset()

    def _listen(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self.listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _close(self):
        listener, self.listener = self.listener, None
        if listener:
            # `close` alone leaves a thread in `accept`, and with it the port open.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self.listener is not listener:
                abort(client)
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        if self.fault in self.certificates:
            self.spoilt += 1
            self._answer(client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target), 5)
        except OSError:
            abort(client)
            return
        connection = Connection(client, server)
        self.open.add(connection)
        generation = self.generation
        try:
            while generation == self.generation and self._pass(connection):
                pass
            if generation != self.generation:
                self.spoilt += 1
        except OSError:
            pass
        finally:
            abort(client)
            abort(server)
            self.open.discard(connection)

    def _pass(self, connection):
        """Passes on what there is; whether the connection goes on."""
        if connection.kept and self.marker is None:
            connection.client.sendall(connection.kept)
            connection.kept, connection.holding = b"", False
        readable, _, _ = select.select([connection.client, connection.server], [], [], 0.02)
        for end in readable:
            data = end.recv(65536)
            if not data:
                return False
            if self.fault is Fault.BLACK_HOLE:
                self.spoilt += 1
                continue
            if end is connection.server:
                if connection.holding:
                    connection.kept += data
                    self.held.set()
                else:
                    connection.client.sendall(data)
                continue
            if self.marker is not None and self.marker in data:
                connection.holding = True
            connection.server.sendall(data)
            if connection.calls.seen(data) and self.fault is Fault.RESET:
                self.spoilt += 1
                return False
        return True

    def _answer(self, client):
        """Speaks TLS itself, with a certificate that fits the fault."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificates[self.fault])
        context.set_alpn_protocols(["h2"])
        client.settimeout(30)
        try:
            with context.wrap_socket(client, server_side=True) as stream:
                unimplemented.serve(stream)
        except (OSError, ssl.SSLError):
            pass


class Connection:
    """Two sockets, and what is known of what passes between them."""

    def __init__(self, client, server):
        self.client = client
        self.server = server
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.settimeout(30)
        self.calls = Calls()
        self.holding = False
        self.kept = b""


class Calls:
    """Tells from the sizes of a client's TLS records whether a call was sent. What is in them it cannot see."""

    def __init__(self):
        self.rest = b""

    def seen(self, data):
        """Whether a record that holds a call ended in `data`."""
        self.rest += data
        found = False
        while len(self.rest) >= 5:
            kind, _, length = struct.unpack("!BHH", self.rest[:5])
            if len(self.rest) < 5 + length:
                break
            found = found or (kind == _APPLICATION_DATA and length >= _A_CALL)
            self.rest = self.rest[5 + length :]
        return found


def abort(end):
    """Closes with a reset (RST), as a crash or a firewall does."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
