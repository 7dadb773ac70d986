"""The test-run API over real sockets: HTTP/1.1 with keep-alive, TLS if wanted."""

import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.tools.simulator.faults import Faults, Headers, message
from tests.tools.simulator.serving import ThreadingServer, hang_up
from tests.tools.simulator.state import ApiError, Rules, State


@dataclass(frozen=True)
class Request:
    """A request as it arrived; header names are in lower case, connections are numbered from 1."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass
class Exchange:
    """A request and the means to answer it, well or badly."""

    request: Request
    handler: "_Handler"

    def act(self, really: bool = True) -> tuple[int, object]:
        """Do what the request asks, if `really`; return the HTTP status and the envelope of the answer."""
        status, body = self.handler.server.perform(self.request) if really else (200, {})
        return status, {"status": status, "body": body}

    def answer(self, status: int, body: object = None, headers: Headers = None) -> None:
        """Send a complete answer; the connection stays open."""
        self.send(b"".join(message(status, body, headers)))

    def send(self, data: bytes) -> None:
        self.handler.connection.sendall(data)

    def wait(self, seconds: float | None) -> bool:
        """Wait (None: forever); return False as soon as either side closes the connection."""
        poll = select.poll()
        poll.register(self.handler.connection, select.POLLIN)
        return not poll.poll(None if seconds is None else seconds * 1000)

    def close(self) -> None:
        self.handler.close_connection = True
        hang_up(self.handler.connection)

    def reset(self) -> None:
        """Close the connection with RST."""
        self.handler.close_connection = True
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.rfile.close()  # holds the socket open, as the socket object does
        self.handler.connection.close()


class Simulator(ThreadingServer):
    """The API. `latency` is in real seconds, before each answer."""

    def __init__(  # noqa: PLR0913 - each is a property of the server that a test may set
        self,
        *,
        token: str = "token_Qwe12345",
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        log: Callable[[str], object] = lambda line: None,
        **rules: Any,  # noqa: ANN401 - Rules checks their names
    ) -> None:
        self.token, self.tls = token, tls
        self.latency, self.log = latency, log
        self.state = State(Rules(**rules), clock)
        self.faults = Faults()
        self.requests: list[Request] = []
        self._name = "localhost" if tls else host
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)

    @property
    def host(self) -> str:
        """Name and port, as in a URL."""
        name = f"[{self._name}]" if ":" in self._name else self._name
        return f"{name}:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}"

    @property
    def calls(self) -> list[str]:
        """Method and path of each request, in order of arrival."""
        return [f"{request.method} {request.path}" for request in list(self.requests)]

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, or let the next fault that is planned for it do so."""
        request = exchange.request
        with self._lock:
            self.requests.append(request)
            fault = self.faults.take(request.method, request.path)
        if self.latency:
            exchange.wait(self.latency)
        true_answer = None if fault else exchange.act()
        with self._lock:  # before the answer, so that whoever has that finds the line
            outcome = true_answer[0] if true_answer else "fault"
            self.log(f"{request.method} {request.path} {outcome}".replace(self.token, "***"))
        if fault:
            fault(exchange)
        elif true_answer:
            exchange.answer(*true_answer)

    def perform(self, request: Request) -> tuple[int, object]:  # noqa: C901, PLR0911 - a line for each call
        """Do what a request asks; return status and body of the envelope."""
        state, rules = self.state, self.state.rules
        if request.path.startswith("/node/"):  # in place of the target, through the node as a proxy
            state.send_through("")
            return 200, {}
        if request.headers.get("x-wallarmapi-token") != self.token:
            return 403, "User not authenticated"
        try:
            match request.method, *request.path.partition("?")[0].strip("/").split("/"):
                case "GET", "v1", "test_run":
                    return 200, [state.get(run_id) for run_id in list(state.runs)]
                case "POST", "v1", "test_run":
                    return 201, self._create_run(request.body)
                case "GET", "v1", "test_run", run_id:
                    return 200, state.get(run_id)
                case "POST", "v1", "test_run", _, "action", "stop" if rules.stop_call_unknown:
                    return rules.stop_call_unknown, {"error": "unknown call"}
                case "POST", "v1", "test_run", run_id, "action", "stop":
                    return 200, state.stop(run_id)
                case "POST", "v1", "test_record", record_id, "action", "stop":
                    return 200, state.stop_record(record_id)
                case [_, "v1", "test_run"] | [_, "v1", "test_run", _] | [_, "v1", _, _, "action", "stop"]:
                    return 405, {"error": "method not allowed"}
                case _:
                    return 404, {"error": "unknown call"}
        except ApiError as error:
            status, body = error.args
            return status, body
        except ValueError:
            return 400, {"error": "bad JSON"}

    def _create_run(self, body: bytes) -> object:
        """Create or copy a run on the node of the token, or that with the BUILD_ID in `build_id`.

        The real API has no such field: nodes with a BUILD_ID create their runs themselves.
        """
        match fields := json.loads(body):
            case {"name": str(name), "test_record_id": str(record_id) | int(record_id)} if name:
                run = self.state.copy_run(name, record_id, node=fields.get("build_id", ""))
            case {"name": str(name)} if name:
                run = self.state.create_run(name, node=fields.get("build_id", ""))
            case _:
                raise ApiError(400, {"name": {"error": "required"}})
        return self.state.get(run.id)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Simulator

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, self.server.open[self.connection])
        self.server.handle(Exchange(request, self))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        """Print nothing: the simulator has a log of its own."""
