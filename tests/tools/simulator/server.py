"""The test-run API over real sockets: HTTP/1.1 with keep-alive, TLS if wanted."""

import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
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
    """The API, and as a forward proxy also the FAST node of `token`.

    Each token is one node of the account, whose tokens may all see and stop all its runs. `latency` is in
    real seconds, before each answer.
    """

    def __init__(  # noqa: PLR0913 - each is a property of the server that a test may set
        self,
        *,
        token: str = "token_Qwe12345",
        other_tokens: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        log: Callable[[str], object] = lambda line: None,
        **rules: Any,  # noqa: ANN401 - Rules checks their names
    ) -> None:
        self.token, self.tokens, self.tls = token, [token, *other_tokens], tls
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
            line = f"{request.method} {request.path} {outcome}"
            for token in self.tokens:
                line = line.replace(token, "***")
            self.log(line)
        if fault:
            fault(exchange)
        elif true_answer:
            exchange.answer(*true_answer)

    def perform(  # noqa: C901, PLR0911, PLR0912 - a line for each call
        self, request: Request
    ) -> tuple[int, object]:
        """Do what a request asks; return status and body of the envelope."""
        state, rules = self.state, self.state.rules
        token = request.headers.get("x-wallarmapi-token")
        if request.path.startswith("http://"):  # through the node as a proxy, which answers for the target
            state.send_through(token or self.token)
            return 200, {}
        if token not in self.tokens:
            return 403, "User not authenticated"
        try:
            match request.method, *request.path.partition("?")[0].strip("/").split("/"):
                case "POST", "node":  # no call of the API: the container of a node says that it starts
                    state.start_container(token)
                    return 200, {}
                case "GET", "v1", "test_run":
                    return 200, [state.get(run_id) for run_id in list(state.runs)]
                case "POST", "v1", "test_run":
                    return 201, self._create_run(request.body, node=token)
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

    def _create_run(self, body: bytes, node: str) -> object:
        match request := json.loads(body):
            case {"name": str(name), "test_record_id": str(record_id) | int(record_id)} if name:
                run = self.state.copy_run(name, record_id, node)
            case {"name": str(name)} if name:
                run = self.state.create_run(name, node=node)
            case _:
                raise ApiError(400, {"name": {"error": "required"}})
        run.request = request
        return self.state.get_created(run.id)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Simulator

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, self.server.open[self.connection])
        self.server.handle(Exchange(request, self))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = do_GET  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        """Print nothing: the simulator has a log of its own."""
