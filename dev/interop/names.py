"""The names `hs1.test` and `hs2.test` on loopback: a DNS server, and the servers' `.well-known/matrix/server`.

Only the gateways look names up, so nothing on the machine is changed; a Synapse that hands its calls to a gateway resolves nothing.
"""

import http.server
import json
import socket
import ssl
import struct
import threading

A, AAAA, SRV = 1, 28, 33


class Dns:
    """Answers A for the names that it knows with 127.0.0.1, nothing else for them, and NXDOMAIN for all others."""

    def __init__(self, names):
        self.names = set(names)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
                self.socket.sendto(self._answer(query), client)
            except (OSError, IndexError, struct.error):
                if self.socket.fileno() < 0:
                    return

    def _answer(self, query):
        labels, place = [], 12
        while length := query[place]:
            labels.append(query[place + 1 : place + 1 + length].decode())
            place += 1 + length
        kind = struct.unpack("!H", query[place + 1 : place + 3])[0]
        question = query[12 : place + 5]
        known = ".".join(labels).lower() in self.names
        answers = b""
        if known and kind == A:
            # The name is a pointer to the question's (RFC 1035 §4.1.4).
            answers = struct.pack("!HHHIH", 0xC00C, A, 1, 60, 4) + bytes([127, 0, 0, 1])
        flags = 0x8580 | (0 if known else 3)
        return query[:2] + struct.pack("!HHHHH", flags, 1, 1 if answers else 0, 0, 0) + question + answers

    def close(self):
        self.socket.close()


class WellKnown:
    """Serves a document for each name, over HTTPS, on one port."""

    def __init__(self, certificate, key):
        documents = self.documents = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self):
                document = documents.get((self.headers["Host"] or "").split(":")[0])
                found = self.path == "/.well-known/matrix/server" and document is not None
                body = json.dumps(document if found else {"errcode": "M_NOT_FOUND"}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        # The handshake happens in the thread of the connection, so that a client that sends nothing stops nobody.
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def publish(self, name, server, grpc=None):
        """Says where `name` is served, and, if `grpc` is a host and port, that gRPC is spoken there."""
        document = {"m.server": server}
        if grpc:
            document["dev.comity.bindings"] = [{"binding": "grpc/1", "target": grpc, "priority": 10}]
        self.documents[name] = document

    def close(self):
        self.server.shutdown()
        self.server.server_close()
