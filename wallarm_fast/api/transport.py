"""How a request reaches the API: the addresses of a host, the proxy, and how long an answer may take."""

import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from wallarm_fast.clock import Clock

# How long an address may take before the next one is tried, in seconds.
_SECONDS_PER_ADDRESS = 3.0
# Enough to receive what has already arrived.
_NO_TIME = 0.001
# More than any answer that is read, so that a server cannot go on forever.
_MAX_RECEIVED_BYTES = 4 << 20


class Transport(httpx.HTTPTransport):
    """Sends requests directly or through a proxy; the trust store is for the API and for the proxy."""

    def __init__(self, trust: ssl.SSLContext, proxy: str | None, clock: Clock) -> None:
        super().__init__(
            verify=trust,
            trust_env=False,
            proxy=proxy and httpx.Proxy(proxy, ssl_context=trust if proxy.startswith("https:") else None),
        )
        # httpx has no parameter for it.
        self._pool._network_backend = _Backend(clock)  # noqa: SLF001

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; drops the headers that httpx would act upon and might fail to parse."""
        response = super().handle_request(request)
        for name in ("Location", "Set-Cookie"):
            response.headers.pop(name, None)
        return response


class _Backend(httpcore.SyncBackend):
    """Connects to the addresses of a host in turn; a dead one leaves time for the next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from None
        *others, last = dict.fromkeys(str(address[0]) for *_, address in found)
        until = self._clock.monotonic() + (timeout or 0)
        for address in others:
            seconds = min(_SECONDS_PER_ADDRESS, (until - self._clock.monotonic()) / 2)
            try:
                stream = super().connect_tcp(
                    address, port, max(seconds, _NO_TIME), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
            return _Stream(stream, self._clock)
        seconds = max(until - self._clock.monotonic(), _NO_TIME)
        return _Stream(super().connect_tcp(last, port, seconds, local_address, socket_options), self._clock)


class _Stream(httpcore.NetworkStream):
    """Limits an answer as a whole, from when the connection is ready; httpcore limits every single read.

    So neither the time that the connection took nor a server that drips counts for the answer, and what has
    already arrived is always read.
    """

    def __init__(self, stream: httpcore.NetworkStream, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._ready_at = clock.monotonic()
        self._received = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._ready_at + (timeout or 0) - self._clock.monotonic()
        data = self._stream.read(max_bytes, max(left, _NO_TIME))
        self._received += len(data)
        if self._received > _MAX_RECEIVED_BYTES:
            raise httpcore.ReadError("the answer does not end")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._clock)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as the base class
        return self._stream.get_extra_info(info)
