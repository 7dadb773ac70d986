"""The calls of Wallarm FAST's test-run API. Knows HTTP and knows no CI."""

import logging
import ssl
import zlib
from collections.abc import Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Literal, NoReturn, Self

import httpx

from stop_recording import __version__
from stop_recording.answers import Envelope, TestRun
from stop_recording.clock import Clock, Deadline
from stop_recording.errors import (
    BadInput,
    Refused,
    RunNotFound,
    TokenRefused,
    Unreachable,
)
from stop_recording.retry import Transient, parse_retry_after

MAX_CONNECTIONS = 16
MAX_ANSWER_BYTES = 1 << 20
MAX_REQUEST_SECONDS = 30.0
TOKEN_HEADER = "X-WallarmAPI-Token"  # noqa: S105 - a name, not a token

_RETRIED = {408, 423, 425, 429}
_TOKEN_REFUSED = {401, 403}
_NOT_FOUND = 404
_FIRST_ERROR = 400
_FIRST_SERVER_ERROR = 500
_LAST_ERROR = 599
_log = logging.getLogger(__name__)


class WallarmClient:
    """Calls of one API server with one token; safe to share between threads; a context manager.

    Each call is made once. It raises Transient for what may pass, TokenRefused, RunNotFound or Refused.
    """

    def __init__(self, base_url: str, token: str, ca_certificates: str | None, deadline: Deadline) -> None:
        self._token = token
        self._deadline = deadline
        self._clock: Clock = deadline.clock
        # The system's trust, not certifi's, which httpx would take.
        trust = ssl.create_default_context()
        if ca_certificates:
            trust.load_verify_locations(cadata=ca_certificates)
        try:
            self._http = httpx.Client(
                base_url=base_url,
                verify=trust,
                # Redirects are not followed; httpx would still fail on one with an odd address.
                event_hooks={"response": [lambda response: response.headers.pop("Location", None)]},
                # None are kept: each would go out with the next request, readable or not.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                limits=httpx.Limits(
                    max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS
                ),
                headers={
                    TOKEN_HEADER: token,
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    "User-Agent": f"wallarm-fast-stop-recording/{__version__}",
                },
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            raise BadInput(
                "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or NO_PROXY: cannot be understood; give a proxy like "
                "http://proxy:3128, and in NO_PROXY hosts separated by commas"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get_test_run(self, test_run_id: str) -> TestRun:
        """GET /v1/test_run/{id}: the state of a run."""
        body = self._call("GET", f"/v1/test_run/{test_run_id}")
        if not isinstance(body, dict):
            raise Transient(Refused, "the answer is not a test run")
        return TestRun.read(body, self._token)

    def stop_test_run(self, test_run_id: str) -> TestRun:
        """POST /v1/test_run/{id}/action/stop: stop recording; the answer may say nothing of the run."""
        return TestRun.read(self._call("POST", f"/v1/test_run/{test_run_id}/action/stop"), self._token)

    def stop_test_record(self, test_record_id: str) -> TestRun:
        """POST /v1/test_record/{id}/action/stop: the same by record."""
        return TestRun.read(self._call("POST", f"/v1/test_record/{test_record_id}/action/stop"), self._token)

    def _call(self, method: Literal["GET", "POST"], path: str) -> object:
        """Make one request and return the body of the envelope; None if a good answer has none."""
        started = self._clock.monotonic()
        try:
            response, content = self._exchange(method, path)
        except httpx.TransportError as error:
            _log.debug("%s %s -> %s", method, path, type(error).__name__)
            raise self._connection_failure(error) from None
        seconds = self._clock.monotonic() - started
        _log.debug("%s %s -> %d in %.3f s", method, path, response.status_code, seconds)
        envelope = _envelope(content)
        code = response.status_code
        if envelope and envelope.status and envelope.status >= _FIRST_ERROR:
            code = min(envelope.status, _LAST_ERROR)
        if not httpx.codes.is_success(code):
            said = envelope.explanation(self._token) if envelope else ""
            self._raise(code, f"HTTP {code}: {said}" if said else f"HTTP {code}", response)
        if envelope is None:
            raise Transient(Refused, "the answer cannot be read: it is not JSON, too long or damaged")
        return envelope.body

    def _exchange(self, method: str, path: str) -> tuple[httpx.Response, bytes]:
        """Return answer and content, of which no more is read than shows that it is too long.

        A request gets at most half the time left, so that a silent server leaves time to look at the run.
        """
        seconds = min(MAX_REQUEST_SECONDS, self._deadline.remaining() / 2)
        if not seconds:
            raise Unreachable("time is up; raise timeout, or try again later")
        give_up_at = self._clock.monotonic() + seconds
        with self._http.stream(method, path, timeout=seconds) as response:
            content = bytearray()
            for chunk in _decompressed(response):
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    break
                if self._clock.monotonic() > give_up_at:
                    raise httpx.ReadTimeout("the answer came too slowly")
        return response, bytes(content)

    def _connection_failure(self, error: httpx.TransportError) -> Exception:
        host = self._http.base_url.host
        if certificate := _certificate_problem(error):
            # Another try would end the same way.
            return Unreachable(
                f"the TLS certificate of {host} is not trusted ({certificate}); check api_host, "
                "or name the certificate of its CA in ca_cert"
            )
        not_sent = isinstance(
            error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError
        )
        # What follows the colon is what the server sent. A proxy's words may be long, and hold no token.
        said = str(error).partition(":")[0] if isinstance(error, httpx.ProtocolError) else str(error)[:200]
        what = "timed out" if isinstance(error, httpx.TimeoutException) else said or type(error).__name__
        doing = "no connection to" if not_sent else "no complete answer from"
        return Transient(Unreachable, f"{doing} {host}: {what}", may_have_acted=not not_sent)

    def _raise(self, code: int, what: str, response: httpx.Response) -> NoReturn:
        if code in _TOKEN_REFUSED:
            raise TokenRefused(
                f"the token was refused ({what}); check that it is a FAST node token of the cloud at "
                f"{self._http.base_url.host}, since each cloud (cloud_region us, eu) refuses the other's"
            )
        if code in _RETRIED or code >= _FIRST_SERVER_ERROR:
            raise Transient(
                Unreachable,
                f"the API answered {what}",
                retry_after=parse_retry_after(response.headers.get("Retry-After", ""), self._clock.wall()),
                may_have_acted=code not in _RETRIED,
            )
        if code == _NOT_FOUND:
            host = self._http.base_url.host
            raise RunNotFound(f"{host} knows no such test run ({what}); check test_run_id and the cloud")
        if httpx.codes.is_redirect(code):
            raise Refused(
                f"the API answered with a redirect ({what}), which is not followed; check api_host", code
            )
        raise Refused(f"the API refused the request ({what})", code)


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


def _envelope(content: bytes) -> Envelope | None:
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
