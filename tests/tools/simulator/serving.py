"""A TCP server on a thread of its own, with another for each connection."""

import itertools
import socket
import socketserver
import threading
from contextlib import suppress
from typing import Any, Self


class ThreadingServer(socketserver.ThreadingTCPServer):
    """Serves between `with` and its end, when it hangs up on everyone.

    `open` numbers the connections, from 1.
    """

    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], handler: type[socketserver.BaseRequestHandler]) -> None:
        self.open: dict[socket.socket, int] = {}
        self._numbers = itertools.count(1)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.002,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until the last thread has ended."""
        self.shutdown()
        self._thread.join()
        for connection in list(self.open):
            hang_up(connection)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # as the base class
        self.open[request] = next(self._numbers)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  # as above
        self.open.pop(request, None)
        super().shutdown_request(request)


def hang_up(connection: socket.socket) -> None:
    """Close the connection properly, whoever is reading from it."""
    with suppress(OSError):  # gone already
        # Not SSLSocket.shutdown, which pulls the TLS object from under a thread that is reading.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
