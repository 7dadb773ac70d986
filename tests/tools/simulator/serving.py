"""A TCP server on a thread of its own, with another thread for each connection."""

import socket
import socketserver
import ssl
import sys
import threading
from contextlib import suppress
from typing import Any, Self


class ThreadingServer(socketserver.ThreadingTCPServer):
    """Serves inside its `with` block. `open` maps each open connection to its number, counted from 1."""

    allow_reuse_address = True
    request_queue_size = 1024
    tls: ssl.SSLContext | None = None

    def __init__(self, address: tuple[str, int], handler: type[socketserver.BaseRequestHandler]) -> None:
        self.open: dict[socket.socket, int] = {}
        self.connections = 0  # in all
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.002,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection and wait until the last thread has ended."""
        self.shutdown()
        self._thread.join()
        for connection in list(self.open):
            hang_up(connection)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.tls:  # the handshake is left to the thread that reads: it may take its time
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.connections += 1
        self.open[connection] = self.connections
        return connection, address

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as the base class
        self.open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base class
        if not isinstance(sys.exception(), OSError):  # a client that hangs up is no error
            super().handle_error(request, client_address)


def hang_up(connection: socket.socket) -> None:
    """Close the connection in an orderly way, whichever thread is reading from it."""
    with suppress(OSError):  # already closed
        # Not SSLSocket.shutdown, which takes the TLS object away from a thread that is reading.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
