"""A gRPC server that knows no method, in as much HTTP/2 (RFC 9113) as that takes.

It answers every request with a trailers-only reply of status 12, as a load balancer or an older server would. Such a reply has no detail of
ours, so a client knows that nothing was done.
"""

import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 4, 6, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4


def serve(stream):
    """Serves one connection to its end."""
    _exactly(stream, len(_PREFACE))
    _write(stream, _SETTINGS, 0, 0, b"")
    while True:
        head = _exactly(stream, 9)
        if head is None:
            return
        length = int.from_bytes(head[:3], "big")
        kind, flags, number = struct.unpack("!BBI", head[3:])
        payload = _exactly(stream, length)
        if kind == _SETTINGS and not flags & _ACK:
            _write(stream, _SETTINGS, _ACK, 0, b"")
        elif kind == _PING and not flags & _ACK:
            _write(stream, _PING, _ACK, 0, payload)
        elif kind == _HEADERS:
            _write(stream, _HEADERS, _END_STREAM | _END_HEADERS, number, _REPLY)
        elif kind == _DATA and length:
            for window in (0, number):
                _write(stream, _WINDOW_UPDATE, 0, window, struct.pack("!I", length))


def _field(name, value):
    """A header field, literally and without indexing (RFC 7541 §6.2.2)."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


_REPLY = (
    # `:status: 200` is entry 8 of the static table.
    b"\x88"
    + _field(b"content-type", b"application/grpc")
    + _field(b"grpc-status", b"12")
    + _field(b"grpc-message", b"unknown service")
)


def _write(stream, kind, flags, number, payload):
    stream.sendall(len(payload).to_bytes(3, "big") + struct.pack("!BBI", kind, flags, number) + payload)


def _exactly(stream, length):
    parts = b""
    while len(parts) < length:
        part = stream.recv(length - len(parts))
        if not part:
            return None
        parts += part
    return parts
