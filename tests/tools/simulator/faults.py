"""What can go wrong on the wire. A fault is any callable that is given the `Exchange` it spoils."""

import json
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Concatenate, Literal, ParamSpec

if TYPE_CHECKING:
    from tests.simulator.server import Exchange

P = ParamSpec("P")
Fault = Callable[["Exchange"], object]
On = Literal["GET", "POST", "stop"]


def message(
    status: int, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[bytes, bytes]:
    """Return head and body of an HTTP answer: bytes and text as they are, None as nothing, else JSON."""
    if body is None:
        content = b""
    elif isinstance(body, bytes):
        content = body
    else:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
    reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode(), content


@dataclass
class _Planned:
    fault: Fault
    on: On | None
    times: int | None
    run: int | str | None

    def hits(self, method: str, path: str) -> bool:
        """Whether a request is one this fault waits for."""
        kinds = {None, method, "stop" if method == "POST" and path.endswith("/action/stop") else None}
        return self.on in kinds and (self.run is None or str(self.run) in path.split("/"))


class Faults:
    """The faults still to come: each request takes the first one planned for it."""

    def __init__(self) -> None:
        """Plan nothing."""
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()

    def add(
        self, fault: Fault, on: On | None = None, times: int | None = 1, run: int | str | None = None
    ) -> None:
        """Plan it for the next `times` requests (None: for ever) of that kind, to that run (or record)."""
        with self._lock:
            self._planned.append(_Planned(fault, on, times, run))

    def clear(self) -> None:
        """Forget what is left."""
        with self._lock:
            self._planned.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault for this request, using it up."""
        with self._lock:
            for planned in self._planned:
                if planned.hits(method, path):
                    if planned.times is not None:
                        planned.times -= 1
                        if planned.times <= 0:
                            self._planned.remove(planned)
                    return planned.fault
        return None


def _ready_made(spoil: Callable[Concatenate["Exchange", P], object]) -> Callable[P, Fault]:
    """Turn "spoil this exchange like so" into "make a fault like so"."""

    @wraps(spoil)
    def make(*args: P.args, **kwargs: P.kwargs) -> Fault:
        @wraps(spoil)  # so that each fault bears its name in a failed test
        def fault(exchange: "Exchange") -> object:
            return spoil(exchange, *args, **kwargs)

        return fault

    return make


@_ready_made
def answer(
    exchange: "Exchange",
    status: int,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    act: bool = False,
) -> None:
    """Answer this, as it stands, in place of the true answer."""
    _act(exchange, act=act)
    exchange.answer(status, body, headers)


@_ready_made
def envelope(exchange: "Exchange", status: int, body: object, http: int = 200, *, act: bool = False) -> None:
    """Answer an envelope whose status need not be that of HTTP."""
    _act(exchange, act=act)
    exchange.answer(http, {"status": status, "body": body})


@_ready_made
def echo_token(exchange: "Exchange", status: int = 400) -> None:
    """Answer an error that repeats the token it was sent."""
    token = exchange.request.headers.get("x-wallarmapi-token", "")
    exchange.answer(status, {"status": status, "body": {"error": f"bad token {token}", "value": token}})


@_ready_made
def reset_before(exchange: "Exchange") -> None:
    """Reset the connection, nothing done."""
    exchange.reset()


@_ready_made
def reset_after(exchange: "Exchange") -> None:
    """Do what was asked, then reset the connection in place of an answer."""
    exchange.act()
    exchange.reset()


@_ready_made
def close_without_answer(exchange: "Exchange", *, act: bool = True) -> None:
    """Close the connection properly, without a word."""
    _act(exchange, act=act)
    exchange.close()


@_ready_made
def cut(exchange: "Exchange", at: float = 0.5, *, act: bool = True) -> None:
    """Announce the whole body, send that part of it, close."""
    head, body = message(*_act(exchange, act=act))
    exchange.send(head + body[: int(len(body) * at)])
    exchange.close()


@_ready_made
def silence(exchange: "Exchange", *, act: bool = True, headers: bool = True) -> None:
    """Send the headers (or not even those), then nothing until either side closes."""
    head, _ = message(*_act(exchange, act=act))
    exchange.send(head if headers else b"")
    exchange.wait(None)
    exchange.close()


@_ready_made
def drip(
    exchange: "Exchange", interval: float = 0.5, *, act: bool = True, part: Literal["body", "all"] = "body"
) -> None:
    """Send one byte each `interval` seconds."""
    head, body = message(*_act(exchange, act=act))
    at_once, slowly = (head, body) if part == "body" else (b"", head + body)
    exchange.send(at_once)
    for position in range(len(slowly)):
        if not exchange.wait(interval):
            break
        exchange.send(slowly[position : position + 1])


@_ready_made
def gzip_bomb(exchange: "Exchange", megabytes: int = 60, *, act: bool = True) -> None:
    """Send the true answer after that much white space: valid JSON, small on the wire, huge in memory."""
    status, payload = _act(exchange, act=act)
    packer = zlib.compressobj(wbits=31)  # 31: gzip, not bare zlib
    packed = b"".join(packer.compress(b" " * 1_000_000) for _ in range(megabytes))
    packed += packer.compress(json.dumps(payload).encode()) + packer.flush()
    exchange.answer(status, packed, {"Content-Encoding": "gzip"})


@_ready_made
def raw(exchange: "Exchange", data: bytes) -> None:
    """Send these bytes, HTTP or not, and close."""
    exchange.send(data)
    exchange.close()


def _act(exchange: "Exchange", *, act: bool) -> tuple[int, object]:
    return exchange.act() if act else (200, {"status": 200, "body": {}})
