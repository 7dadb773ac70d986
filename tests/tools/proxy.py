"""A forward proxy for the tests: CONNECT for https, the absolute form for http. Needs nothing but Python."""

import http.client
import select
import socket
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.tools.simulator.serving import ThreadingServer


class Proxy(ThreadingServer):
    """Serves inside its `with` block.

    With `refuse`, every answer has that status. With `route_to` (`host:port`), all requests lead there,
    whatever the client asks for.
    """

    def __init__(self, refuse: int | None = None, route_to: str = "") -> None:
        self.refuse = refuse
        self.route_to = route_to
        self.asked: list[str] = []  # request lines, without the HTTP version
        self.seen = bytearray()  # whatever clients sent, both heads and tunnels
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _refused(self) -> bool:
        self.server.asked.append(f"{self.command} {self.path}")
        self.server.seen += f"{self.requestline}\n{self.headers}".encode()
        if status := self.server.refuse:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
        return bool(status)

    def do_CONNECT(self) -> None:
        if self._refused():
            return
        host, _, port = (self.server.route_to or self.path).rpartition(":")
        self.close_connection = True
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5) as upstream:
            self.send_response(200, "Connection established")
            self.end_headers()
            self._tunnel(upstream)

    def _tunnel(self, upstream: socket.socket) -> None:
        ways = {self.connection: upstream, upstream: self.connection}
        while True:
            for source in select.select(list(ways), [], [])[0]:
                data = source.recv(65536)
                if not data:
                    return
                if source is self.connection:
                    self.server.seen += data
                ways[source].sendall(data)

    def do_GET(self) -> None:
        if self._refused():
            return
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hop_by_hop = {"connection", "proxy-connection", "host"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in hop_by_hop}
        upstream = http.client.HTTPConnection(self.server.route_to or url.netloc, timeout=5)
        upstream.request(self.command, url.path, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        self.send_response(answer.status, answer.reason)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the base class's name
