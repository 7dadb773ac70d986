"""A FAST node as far as a pipeline sees it: a forward proxy, whose requests the simulator records.

It reads the variables of the container wallarm/fast, and trusts SSL_CERT_FILE. Needs nothing but Python.
"""  # noqa: INP001 - a program of its own, copied into an image

import os
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Node(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(tell_simulator("GET", self.path))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def tell_simulator(method: str, path: str) -> int:
    simulator = HTTPSConnection(os.environ["WALLARM_API_HOST"], timeout=10)
    simulator.request(method, path, headers={"X-WallarmAPI-Token": os.environ["WALLARM_API_TOKEN"]})
    return simulator.getresponse().status


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", int(os.environ.get("NODE_PORT", "8080"))), Node)
    tell_simulator("POST", "/node")
    server.serve_forever()
