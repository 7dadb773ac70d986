"""The test-run API over real sockets: HTTP/1.1 with keep-alive, TLS if wanted, a thread a connection."""

import json
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from tests.simulator.faults import Faults, message
from tests.simulator.serving import ThreadingServer, hang_up
from tests.simulator.state import ApiError, NotFoundError, RefusedError, Rules, State


@dataclass(frozen=True)
class Request:
    """A request as it arrived; header names in lower case, connections numbered from 1."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass
class Exchange:
    """One request and the means to answer it, well or badly."""

    request: Request
    simulator: "Simulator"
    handler: "_Handler"

    def act(self) -> tuple[int, object]:
        """Do what the request asks; return the HTTP status and the envelope of the true answer."""
        status, body = self.simulator.perform(self.request)
        return status, {"status": status, "body": body}

    def answer(self, status: int, body: object = None, headers: Mapping[str, str] | None = None) -> None:
        """Send a complete answer; the connection stays open."""
        self.send(b"".join(message(status, body, headers)))

    def send(self, data: bytes) -> None:
        """Put bytes on the wire as they are."""
        self.handler.connection.sendall(data)

    def wait(self, seconds: float | None) -> bool:
        """Wait (None: for ever) while both sides stay; return False as soon as one of them hangs up."""
        poll = select.poll()
        poll.register(self.handler.connection, select.POLLIN)
        return not poll.poll(None if seconds is None else seconds * 1000)

    def close(self) -> None:
        """Close the connection properly."""
        self.handler.close_connection = True
        hang_up(self.handler.connection)

    def reset(self) -> None:
        """Close the connection with RST."""
        self.handler.close_connection = True
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.rfile.close()  # holds the socket open, as does the socket object itself
        self.handler.connection.close()


class Simulator:
    """The API, up between `with` and its end."""

    def __init__(  # noqa: PLR0913  # each is a property of the server a test may want to choose
        self,
        *,
        token: str = "token_Qwe12345",
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "",
        latency: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        log: Callable[[str], object] | None = None,
        **rules: Any,  # noqa: ANN401  # the fields of Rules, which checks their names
    ) -> None:
        """Choose what it is like: `name` stands in the URL, `latency` is real seconds before each answer."""
        self.token = token
        self.tls = tls
        self.latency = latency
        self.log = log
        self.state = State(Rules(**rules), clock)
        self.faults = Faults()
        self.requests: list[Request] = []
        self.connections = 0
        self.most_connections = 0
        self.lock = threading.Lock()
        self._address = (host, port)
        self._name = name or ("localhost" if tls else host)

    def __enter__(self) -> Self:
        """Listen; from here on `url` and `host` are known."""
        self._server = _Server(self, self._address)
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up on everyone and wait until the last thread has ended."""
        self._server.__exit__()

    @property
    def host(self) -> str:
        """Name and port, as in a URL."""
        name = f"[{self._name}]" if ":" in self._name else self._name
        return f"{name}:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{'https' if self.tls else 'http'}://{self.host}"

    @property
    def calls(self) -> list[str]:
        """Method and path of each request, in order of arrival."""
        return [f"{request.method} {request.path}" for request in list(self.requests)]

    def handle(self, exchange: Exchange) -> None:
        """Note the request and answer it, or let the next fault planned for it do so."""
        request = exchange.request
        with self.lock:
            self.requests.append(request)
            fault = self.faults.take(request.method, request.path)
        if self.latency:
            exchange.wait(self.latency)
        if fault:
            self._note(request, "fault")
            fault(exchange)
        else:
            status, payload = exchange.act()
            self._note(request, status)  # before the answer: who has got it finds it in the log
            exchange.answer(status, payload)

    def perform(self, request: Request) -> tuple[int, object]:  # noqa: C901, PLR0911  # a line a call
        """Do what a request asks; return status and body of the envelope."""
        rules = self.state.rules
        if request.headers.get("x-wallarmapi-token") != self.token:
            return rules.bad_token_status, "User not authenticated"
        try:
            match request.method, *request.path.partition("?")[0].strip("/").split("/"):
                case "GET", "v1", "test_run":
                    return 200, self.state.get_all()
                case "POST", "v1", "test_run":
                    return 201, self._create(request.body)
                case "GET", "v1", "test_run", run_id:
                    return 200, self.state.get(run_id)
                case "POST", "v1", "test_run", _, "action", "stop" if rules.stop_call_unknown:
                    return rules.stop_call_unknown, {"error": "unknown call"}
                case "POST", "v1", "test_run", run_id, "action", "stop":
                    return 200, self.state.stop(run_id)
                case "POST", "v1", "test_record", record_id, "action", "stop":
                    return 200, self.state.stop_record(record_id)
                case [_, "v1", "test_run"] | [_, "v1", "test_run", _]:
                    return 405, {"error": "method not allowed"}
                case [_, "v1", "test_run" | "test_record", _, "action", "stop"]:
                    return 405, {"error": "method not allowed"}
                case _:
                    return 404, {"error": "unknown call"}
        except ApiError as error:
            return (404 if isinstance(error, NotFoundError) else 400), error.body

    def _create(self, body: bytes) -> object:
        try:
            wanted = json.loads(body)
        except ValueError:
            raise RefusedError({"error": "bad JSON"}) from None
        name = wanted.get("name") if isinstance(wanted, dict) else None
        if not isinstance(name, str) or not name:
            raise RefusedError({"name": {"error": "required", "value": name}})
        record_id = wanted.get("test_record_id")
        run = self.state.create_run(name) if record_id is None else self.state.copy_run(name, record_id)
        return self.state.get(run.id)

    def _note(self, request: Request, outcome: object) -> None:
        if self.log:
            with self.lock:
                self.log(f"{request.method} {request.path} {outcome}".replace(self.token, "***"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        number = self.server.open[self.connection]
        request = Request(self.command, self.path, headers, body, number)
        self.server.simulator.handle(Exchange(request, self.server.simulator, self))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  # names are the base class's

    def log_message(self, *_: object) -> None:
        """Say nothing: the simulator has a log of its own."""


class _Server(ThreadingServer):
    def __init__(self, simulator: Simulator, address: tuple[str, int]) -> None:
        self.simulator = simulator
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.simulator.tls:  # the handshake is left to the thread that reads first: it may take its time
            connection = self.simulator.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        self.simulator.connections += 1
        self.simulator.most_connections = max(self.simulator.most_connections, len(self.open) + 1)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # as the base class
        if not isinstance(sys.exception(), OSError):  # a client that hangs up is no news
            super().handle_error(request, client_address)
