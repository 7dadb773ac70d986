"""The calls of the test-run API."""

import logging
import ssl
import zlib
from collections.abc import Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Literal, Self

import httpx

from wallarm_fast import __version__
from wallarm_fast.api.connection import Connection
from wallarm_fast.api.responses import Envelope, TestRun
from wallarm_fast.api.retry import TransientError, parse_retry_after
from wallarm_fast.clock import Clock, Deadline
from wallarm_fast.errors import (
    InputError,
    RefusedError,
    RunNotFoundError,
    TokenRefusedError,
    UnknownCallError,
    UnreachableError,
)

MAX_CONNECTIONS = 16
MAX_ANSWER_BYTES = 1 << 20
MAX_REQUEST_SECONDS = 30.0
TOKEN_HEADER = "X-WallarmAPI-Token"  # noqa: S105 - a name, not a token

_NOT_FOUND = 404
_METHOD_NOT_ALLOWED = 405
_TOKEN_REFUSED = {401, 403}
_RETRIED = {408, 423, 425, 429}
_FIRST_ERROR = 400
_FIRST_SERVER_ERROR = 500
_LAST_ERROR = 599
_log = logging.getLogger(__name__)


class WallarmClient:
    """Makes the calls of one API server with one token. A context manager; threads may share it.

    Every call makes one request. It raises TransientError for a failure that is worth retrying, otherwise
    TokenRefusedError, RunNotFoundError (404, which may also mean that the API does not know the call),
    UnknownCallError (405) or RefusedError.
    """

    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        self.connection = connection
        self._token = connection.token
        self._deadline = deadline
        self._clock: Clock = deadline.clock
        # The trust store of the system, not that of certifi, which is httpx's default.
        trust = ssl.create_default_context()
        if connection.ca_certificates:
            trust.load_verify_locations(cadata=connection.ca_certificates)
        try:
            self._http = httpx.Client(
                base_url=connection.base_url,
                verify=trust,
                # Redirects are not followed, but httpx would still fail on one with an invalid address.
                event_hooks={"response": [lambda response: response.headers.pop("Location", None)]},
                # Cookies are not kept: each would be sent with the next request, readable or not.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                limits=httpx.Limits(
                    max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS
                ),
                headers={
                    TOKEN_HEADER: connection.token,
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    "User-Agent": f"wallarm-fast-stop-recording/{__version__}",
                },
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            raise InputError(
                "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or NO_PROXY: cannot be understood; give a proxy such as "
                "http://proxy:3128, and in NO_PROXY hosts separated by commas"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get_test_run(self, test_run_id: str) -> TestRun:
        """GET /v1/test_run/{id}: the state of a test run."""
        body = self._request("GET", f"/v1/test_run/{test_run_id}")
        if not isinstance(body, dict):
            raise TransientError(RefusedError, "the answer is not a test run")
        return TestRun.read(body, self._token)

    def stop_test_run(self, test_run_id: str) -> TestRun:
        """POST /v1/test_run/{id}/action/stop: stop recording. The answer may say nothing about the run."""
        return TestRun.read(self._request("POST", f"/v1/test_run/{test_run_id}/action/stop"), self._token)

    def stop_test_record(self, test_record_id: str) -> TestRun:
        """POST /v1/test_record/{id}/action/stop: the same, by test record."""
        return TestRun.read(
            self._request("POST", f"/v1/test_record/{test_record_id}/action/stop"), self._token
        )

    def _request(self, method: Literal["GET", "POST"], path: str) -> object:
        """Make a request and return the body of the envelope, None if a good answer has none."""
        started = self._clock.monotonic()
        try:
            response, content = self._send(method, path)
        except httpx.TransportError as error:
            _log.debug("%s %s -> %s", method, path, type(error).__name__)
            raise self._connection_error(error) from None
        seconds = self._clock.monotonic() - started
        _log.debug("%s %s -> %d in %.3f s", method, path, response.status_code, seconds)
        envelope = _read_envelope(content)
        code = response.status_code
        if envelope and envelope.status and envelope.status >= _FIRST_ERROR:
            code = min(envelope.status, _LAST_ERROR)
        if not httpx.codes.is_success(code):
            detail = envelope.detail(self._token) if envelope else ""
            raise self._error_for_status(
                code, f"HTTP {code}: {detail}" if detail else f"HTTP {code}", response
            )
        if envelope is None:
            raise TransientError(
                RefusedError, "the answer cannot be read: it is not JSON, too long or damaged"
            )
        return envelope.body

    def _send(self, method: str, path: str) -> tuple[httpx.Response, bytes]:
        """Return the response and its content, which is read only as far as shows that it is too long.

        A request may take half of the time left, so that a silent server leaves time to look at the run.
        """
        seconds = min(MAX_REQUEST_SECONDS, self._deadline.remaining() / 2)
        if not seconds:
            raise UnreachableError("time is up; raise timeout, or try again later")
        abandon_at = self._clock.monotonic() + seconds
        with self._http.stream(method, path, timeout=seconds) as response:
            content = bytearray()
            for chunk in _decompressed(response):
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    break
                if self._clock.monotonic() > abandon_at:
                    raise httpx.ReadTimeout("the answer came too slowly")
        return response, bytes(content)

    def _connection_error(self, error: httpx.TransportError) -> Exception:
        host = self._http.base_url.host
        if problem := _certificate_problem(error):
            # Not retried: another attempt would end the same way.
            return UnreachableError(
                f"the TLS certificate of {host} is not trusted ({problem}); check api_host, "
                "or name the certificate of its CA in ca_cert"
            )
        not_sent = isinstance(
            error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError
        )
        # What follows the colon comes from the server. A proxy may say a lot, but it never has the token.
        words = str(error).partition(":")[0] if isinstance(error, httpx.ProtocolError) else str(error)[:200]
        reason = "timed out" if isinstance(error, httpx.TimeoutException) else words or type(error).__name__
        action = "no connection to" if not_sent else "no complete answer from"
        return TransientError(UnreachableError, f"{action} {host}: {reason}", may_have_acted=not not_sent)

    def _error_for_status(self, code: int, detail: str, response: httpx.Response) -> Exception:
        host = self._http.base_url.host
        if code in _TOKEN_REFUSED:
            return TokenRefusedError(
                f"the token was refused ({detail}); check that it is a FAST node token of the cloud at "
                f"{host}, since each cloud (cloud_region us, eu) refuses the tokens of the other"
            )
        if code in _RETRIED or code >= _FIRST_SERVER_ERROR:
            return TransientError(
                UnreachableError,
                f"the API answered {detail}",
                retry_after=parse_retry_after(response.headers.get("Retry-After", ""), self._clock.wall()),
                may_have_acted=code not in _RETRIED,
            )
        if code == _NOT_FOUND:
            return RunNotFoundError(
                f"{host} knows no such test run ({detail}); check test_run_id and cloud_region"
            )
        if httpx.codes.is_redirect(code):
            return RefusedError(
                f"the API answered with a redirect ({detail}), which is not followed; check api_host"
            )
        error = UnknownCallError if code == _METHOD_NOT_ALLOWED else RefusedError
        return error(f"the API refused the request ({detail})")


def _decompressed(response: httpx.Response) -> Iterator[bytes]:
    """Yield the content in pieces of limited size, so that a small answer cannot unpack to a huge one."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("gzip", "deflate"):
        yield from response.iter_raw()
        return
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        for packed in response.iter_raw():
            yield unpacker.decompress(packed, MAX_ANSWER_BYTES)
            while unpacker.unconsumed_tail:
                yield unpacker.decompress(unpacker.unconsumed_tail, MAX_ANSWER_BYTES)
    except zlib.error:
        raise httpx.RemoteProtocolError("damaged compression") from None


def _read_envelope(content: bytes) -> Envelope | None:
    if len(content) > MAX_ANSWER_BYTES:
        return None
    try:
        return Envelope.read(content)
    except ValueError:
        return None


def _certificate_problem(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message or "verification failed"
        error = error.__cause__ or error.__context__
    return None
