"""The test-run API of Wallarm FAST: its calls and its answers.

Knows HTTP and knows no CI. Answers are envelopes `{"status": 200, "body": {...}}`; what is read of a body is
data that may be hostile, and only values of the expected form leave this module.
"""

import json
import logging
import re
import ssl
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NoReturn, Self

import httpx

from stop_recording import __version__
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
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STATE = re.compile(r"[a-z_]{1,32}")
_MAX_COUNT = 10**12
_MAX_SAID = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TestRun:
    """What an answer said of a test run; None where it did not."""

    __test__ = False  # not a test, whatever pytest makes of the name

    recording: bool | None = None
    test_record_id: str | None = None
    state: str | None = None
    baseline_count: int | None = None

    def updated(self, newer: Self) -> Self:
        """Return this with whatever the newer answer said."""
        said = {f.name: getattr(newer, f.name) for f in fields(newer)}
        return replace(self, **{name: value for name, value in said.items() if value is not None})


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
                follow_redirects=False,
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
                "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY: not the URL of a proxy; give one like http://proxy:3128"
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
        return self._test_run(body)

    def stop_test_run(self, test_run_id: str) -> TestRun:
        """POST /v1/test_run/{id}/action/stop: stop recording; the answer may say nothing of the run."""
        return self._test_run(self._call("POST", f"/v1/test_run/{test_run_id}/action/stop"))

    def stop_test_record(self, test_record_id: str) -> TestRun:
        """POST /v1/test_record/{id}/action/stop: the same by record."""
        return self._test_run(self._call("POST", f"/v1/test_record/{test_record_id}/action/stop"))

    def _call(self, method: Literal["GET", "POST"], path: str) -> object:
        """Make one request and return the body of the envelope; None if a good answer has none."""
        started = self._clock.monotonic()
        try:
            response, content = self._exchange(method, path)
        except httpx.TransportError as error:
            _log.debug("%s %s -> %s", method, path, type(error).__name__)
            raise self._connection_failure(error) from None
        _log.debug(
            "%s %s -> %d in %.3f s", method, path, response.status_code, self._clock.monotonic() - started
        )
        readable, answer = _decode(content)
        code = response.status_code
        status = answer.get("status") if isinstance(answer, dict) else None
        if isinstance(status, int) and status >= 400:  # noqa: PLR2004 - where HTTP's errors begin
            code = status
        body = answer.get("body") if isinstance(answer, dict) else None
        if not httpx.codes.is_success(code):
            self._raise(code, body, response)
        if not readable:
            raise Transient(Refused, "the answer cannot be read: it is not JSON, too long or damaged")
        return body

    def _exchange(self, method: str, path: str) -> tuple[httpx.Response, bytes | None]:
        """Return answer and content; the content is None if there is more of it than is ever read.

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
                    return response, None
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
        what = (
            "timed out" if isinstance(error, httpx.TimeoutException) else str(error) or type(error).__name__
        )
        doing = "no connection to" if not_sent else "no complete answer from"
        return Transient(Unreachable, f"{doing} {host}: {what}", may_have_acted=not not_sent)

    def _raise(self, code: int, body: object, response: httpx.Response) -> NoReturn:
        # Without the token before it is cut, or a piece of an echoed token could stay.
        said = "" if body is None else _flat(body).replace(self._token, "***")[:_MAX_SAID]
        what = f"HTTP {code}: {said}" if said else f"HTTP {code}"
        if code in _TOKEN_REFUSED:
            raise TokenRefused(
                f"the token was refused ({what}); check that it is a FAST node token of the cloud at "
                f"{self._http.base_url.host}, since each cloud (cloud_region us, eu) refuses the other's"
            )
        if code in _RETRIED or code >= 500:  # noqa: PLR2004 - where HTTP's server errors begin
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

    def _test_run(self, body: object) -> TestRun:
        """Take what is usable from the body; Refused if the record's id has not the form of an id."""
        run: dict[str, Any] = body if isinstance(body, dict) else {}
        recording, record_id, count = (
            run.get("recording"),
            run.get("test_record_id"),
            run.get("baseline_count"),
        )
        if type(record_id) is int:
            record_id = str(record_id) if record_id < _MAX_COUNT else "too long"
        if record_id in (None, ""):
            record_id = None
        elif not self._usable(record_id, _ID):
            raise Refused(
                "the API answered with a test_record_id that is not an id; nothing can be done with it"
            )
        state = run.get("state")
        return TestRun(
            recording=recording if isinstance(recording, bool) else None,
            test_record_id=record_id,
            state=state if self._usable(state, _STATE) else None,
            baseline_count=count if type(count) is int and 0 <= count < _MAX_COUNT else None,
        )

    def _usable(self, value: object, form: re.Pattern[str]) -> bool:
        return isinstance(value, str) and form.fullmatch(value) is not None and self._token not in value


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


def _decode(content: bytes | None) -> tuple[bool, object]:
    """Return whether the answer can be read, and its JSON; an empty answer can, and is None."""
    if content is None:
        return False, None
    if not content:
        return True, None
    try:
        return True, json.loads(content.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False, None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _flat(value: object, depth: int = 4) -> str:
    """Write JSON as a line of prose: {"a": {"error": "b"}} becomes "a: error: b"."""
    if isinstance(value, dict) and depth:
        return ", ".join(f"{key}: {_flat(item, depth - 1)}" for key, item in value.items())
    if isinstance(value, list) and depth:
        return ", ".join(_flat(item, depth - 1) for item in value)
    return "..." if isinstance(value, dict | list) else str(value)


def _certificate_problem(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message or "verification failed"
        error = error.__cause__ or error.__context__
    return None
