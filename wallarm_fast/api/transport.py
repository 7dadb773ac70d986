"""How a request reaches the API: the addresses of a host, the proxy, and how long a response may take."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from wallarm_fast.api.responses import MAX_RESPONSE_BYTES, decompress
from wallarm_fast.clock import Clock

# How long an address may take before the next one is tried, in seconds.
_SECONDS_PER_ADDRESS = 3.0
# Enough to receive what has already arrived.
_NO_TIME = 0.001
# More than any response that is read, so that a server cannot go on forever.
_MAX_RECEIVED_BYTES = 4 << 20
_KEPT_HEADERS = {b"content-type", b"date", b"retry-after"}


class TlsError(httpx.NetworkError):
    """TLS with this host failed, in the handshake or later. The `reason` is OpenSSL's."""

    def __init__(self, host: str, reason: ssl.SSLError, *, in_handshake: bool) -> None:
        super().__init__(str(reason))
        self.host = host
        self.reason = reason
        self.in_handshake = in_handshake


class ProxyStatusError(httpx.ProxyError):
    """The proxy rejected the tunnel with this HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class Transport(httpx.BaseTransport):
    """Sends requests directly or through a proxy, which has its password in the URL.

    A response is complete and decompressed; it is read only as far as shows that it is over
    MAX_RESPONSE_BYTES. The `trust` is for the API and for the proxy. A connection is used once: what a server
    sends after its response must not be taken for the next one.
    """

    def __init__(self, trust: ssl.SSLContext, proxy: str | None, clock: Clock, max_connections: int) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust,
            proxy=_make_proxy(proxy, trust) if proxy else None,
            max_connections=max_connections,
            max_keepalive_connections=0,
            network_backend=_Backend(clock),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; raises an httpx.TransportError, TlsError and ProxyStatusError among them."""
        statuses: list[int] = []

        def trace(event: str, info: Mapping[str, Any]) -> None:
            if event == "http11.receive_response_headers.complete":
                statuses.append(info["return_value"][1])

        url = request.url
        outgoing = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions={**request.extensions, "trace": trace},
        )
        with _as_httpx_errors(statuses):
            incoming = self._pool.handle_request(outgoing)
            try:
                content = bytearray()
                for chunk in incoming.iter_stream():
                    content += chunk
                    if len(content) > MAX_RESPONSE_BYTES:
                        break
            finally:
                incoming.close()
        # Only these headers matter; httpx would act upon others, and might fail to parse them.
        kept = [(name, value) for name, value in incoming.headers if name.lower() in _KEPT_HEADERS]
        encoding = httpx.Headers(incoming.headers).get("Content-Encoding", "")
        return httpx.Response(incoming.status, headers=kept, content=decompress(bytes(content), encoding))

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


def _make_proxy(url: str, trust: ssl.SSLContext) -> httpcore.Proxy:
    proxy = httpx.Proxy(url)
    return httpcore.Proxy(
        httpcore.URL(str(proxy.url)),
        auth=proxy.raw_auth,
        ssl_context=trust if proxy.url.scheme == "https" else None,
    )


@contextmanager
def _as_httpx_errors(statuses: list[int]) -> Iterator[None]:
    """Turn the exceptions of httpcore into those of httpx, which have the same names."""
    try:
        yield
    except httpcore.ProxyError as error:
        raise (ProxyStatusError(statuses[-1]) if statuses else httpx.ProxyError(str(error))) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


class _Backend(httpcore.NetworkBackend):
    """Connects to the addresses of a host in turn; a dead one leaves time for the next.

    An address that accepts a connection and then fails in TLS is tried last the next time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._network = httpcore.SyncBackend()
        self._failed: list[str] = []
        self._lock = threading.Lock()

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
        with self._lock:
            failed = {address: number for number, address in enumerate(self._failed)}
        addresses = dict.fromkeys(str(address[0]) for *_, address in found)
        *others, last = sorted(addresses, key=lambda address: failed.get(address, -1))
        until = self._clock.monotonic() + (timeout or 0)
        for address in others:
            seconds = min(_SECONDS_PER_ADDRESS, (until - self._clock.monotonic()) / 2)
            try:
                return self._connect(address, port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(last, port, until - self._clock.monotonic(), local_address, socket_options)

    def _connect(self, address: str, port: int, seconds: float, *options: Any) -> httpcore.NetworkStream:  # noqa: ANN401
        stream = self._network.connect_tcp(address, port, max(seconds, _NO_TIME), *options)
        return _Stream(stream, self._clock, lambda: self._note_failure(address))

    def _note_failure(self, address: str) -> None:
        with self._lock:
            self._failed = [*(other for other in self._failed if other != address), address]


class _Stream(httpcore.NetworkStream):
    """Limits a response as a whole, from when the connection is ready; httpcore limits every single read.

    So neither the time that the connection took nor a server that drips counts for the response, and what has
    already arrived is always read.
    """

    def __init__(
        self,
        stream: httpcore.NetworkStream,
        clock: Clock,
        note_failure: Callable[[], None],
        tls_host: str | None = None,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._note_failure = note_failure
        self._tls_host = tls_host
        self._ready_at = clock.monotonic()
        self._received = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._ready_at + (timeout or 0) - self._clock.monotonic()
        with self._tls_errors(self._tls_host):
            data = self._stream.read(max_bytes, max(left, _NO_TIME))
        self._received += len(data)
        if self._received > _MAX_RECEIVED_BYTES:
            raise httpcore.ReadError("the response does not end")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # After a WriteError, httpcore reads what the server has sent before it closed the connection.
        self._stream.write(buffer, timeout)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        # A dot at the end of a name is for the resolver alone; no certificate has it.
        host = (server_hostname or "").rstrip(".")
        try:
            with self._tls_errors(host, in_handshake=True):
                stream = self._stream.start_tls(ssl_context, host, timeout)
        except Exception:
            self._note_failure()
            raise
        return _Stream(stream, self._clock, self._note_failure, host)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as the base class
        return self._stream.get_extra_info(info)

    @staticmethod
    @contextmanager
    def _tls_errors(host: str | None, *, in_handshake: bool = False) -> Iterator[None]:
        """Turn a failure of TLS into an error that names the host."""
        try:
            yield
        except httpcore.NetworkError as error:
            if host is not None and isinstance(error.__cause__, ssl.SSLError):
                raise TlsError(host, error.__cause__, in_handshake=in_handshake) from error
            raise
