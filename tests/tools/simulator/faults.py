"""Faults on the wire. A fault is any callable that answers the `Exchange` it is given, badly."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import update_wrapper
from http import HTTPStatus
from itertools import repeat
from typing import TYPE_CHECKING, Concatenate, Literal, ParamSpec

if TYPE_CHECKING:
    from tests.tools.simulator.server import Exchange

_P = ParamSpec("_P")
Fault = Callable[["Exchange"], object]
Headers = Mapping[str, str] | None
On = Literal["GET", "POST", "stop"]


def message(status: int, body: object = None, headers: Headers = None) -> tuple[bytes, bytes]:
    """Return head and body of an HTTP answer. Bytes and text are sent as they are, anything else as JSON."""
    content = b"" if body is None else body
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode(), content


class Faults:
    """The faults to come. Each request takes the first one that is planned for it."""

    def __init__(self) -> None:
        self._planned: list[tuple[Iterator[Fault], On | None, int | str]] = []

    def add(self, fault: Fault, on: On | None = None, times: int | None = 1, run: int | str = "") -> None:
        """Plan a fault for the next `times` requests (None: all) of that kind, to that run (or record)."""
        self._planned.append((repeat(fault) if times is None else repeat(fault, times), on, run))

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault for this request, which is then used up."""
        kinds = {None, method, "stop" if method == "POST" and path.endswith("/action/stop") else None}
        for faults, on, run in list(self._planned):
            if on in kinds and (not run or str(run) in path.split("/")) and (fault := next(faults, None)):
                return fault
        return None


def _factory(misbehave: Callable[Concatenate["Exchange", _P], object]) -> Callable[_P, Fault]:
    """Turn a bad way to answer into one that makes such faults; `act` lets the request take effect."""

    def make(*args: _P.args, **kwargs: _P.kwargs) -> Fault:
        return update_wrapper(lambda exchange: misbehave(exchange, *args, **kwargs), misbehave)

    return make


@_factory
def answer(
    exchange: "Exchange", status: int, body: object = None, headers: Headers = None, *, act: bool = False
) -> None:
    """Send this answer in place of the true one."""
    exchange.act(act)
    exchange.answer(status, body, headers)


def envelope(status: int, body: object, http: int = 200, *, act: bool = False) -> Fault:
    """Answer with an envelope whose status may differ from that of HTTP."""
    return answer(http, {"status": status, "body": body}, act=act)


@_factory
def reset_before(exchange: "Exchange") -> None:
    """Reset the connection; the request has no effect."""
    exchange.reset()


@_factory
def reset_after(exchange: "Exchange") -> None:
    """Reset the connection once the request has taken effect."""
    exchange.act()
    exchange.reset()


@_factory
def close_without_answer(exchange: "Exchange", *, act: bool = True) -> None:
    """Close the connection in an orderly way."""
    exchange.act(act)
    exchange.close()


@_factory
def cut(exchange: "Exchange", *, act: bool = True) -> None:
    """Announce the whole body, send half of it, close."""
    head, body = message(*exchange.act(act))
    exchange.send(head + body[: len(body) // 2])
    exchange.close()


@_factory
def silence(exchange: "Exchange") -> None:
    """Send the headers, then nothing until either side closes."""
    head, _ = message(*exchange.act())
    exchange.send(head)
    exchange.wait(None)
    exchange.close()


@_factory
def raw(exchange: "Exchange", data: bytes) -> None:
    """Send these bytes, whether HTTP or not, and close."""
    exchange.send(data)
    exchange.close()
