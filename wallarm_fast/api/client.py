"""The calls of the test-run API."""

import logging
import ssl
import threading
from collections.abc import Mapping
from typing import Literal, NoReturn, Self
from urllib.parse import urlsplit

import httpx

from wallarm_fast import __version__
from wallarm_fast.api.connection import CLOUDS, Connection, port_of
from wallarm_fast.api.progress import Progress
from wallarm_fast.api.responses import MAX_ANSWER_BYTES, Envelope, TestRun, decompress, parse_id
from wallarm_fast.api.retry import TransientError, parse_retry_after
from wallarm_fast.api.transport import Transport
from wallarm_fast.clock import Clock, Deadline
from wallarm_fast.errors import (
    InputError,
    RefusedError,
    RunNotFoundError,
    TokenRefusedError,
    UnknownCallError,
    UnreachableError,
)

MAX_CONNECTIONS = 64
MAX_REQUEST_SECONDS = 30.0
TOKEN_HEADER = "X-WallarmAPI-Token"  # noqa: S105 - a name, not a token

_NOT_FOUND = 404
_METHOD_NOT_ALLOWED = 405
_PROXY_AUTHENTICATION_REQUIRED = 407
_TOKEN_REFUSED = {401, 403}
_RETRIED = {408, 423, 425, 429}
_TURNED_AWAY = {423, 429}
_FIRST_ERROR = 400
_FIRST_SERVER_ERROR = 500
_LAST_ERROR = 599
# What OpenSSL says of an answer that is not TLS; it depends on the version and on the answer.
_NOT_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"}
_log = logging.getLogger(__name__)


class WallarmClient:
    """Makes the calls of one API server with one token. A context manager; threads may share it.

    Every call makes one request. It raises TransientError for a failure that is worth retrying, otherwise
    TokenRefusedError, RunNotFoundError (404, which may also mean that the API does not know the call),
    UnknownCallError (405), RefusedError or UnreachableError (an error of TLS, or a proxy's refusal).
    """

    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        self.connection = connection
        self._token = connection.token
        self._deadline = deadline
        self._clock: Clock = deadline.clock
        self._turns = threading.Semaphore(MAX_CONNECTIONS)
        url = urlsplit(connection.base_url)
        self._server = url.netloc if url.port else f"{url.netloc}:{port_of(url)}"
        if connection.proxy:
            self._server += f" through the proxy {urlsplit(connection.proxy).netloc.rpartition('@')[2]}"
        # The trust store of the system, not that of certifi, which is httpx's default.
        trust = ssl.create_default_context()
        if connection.ca_certificates:
            trust.load_verify_locations(cadata=connection.ca_certificates)
        try:
            self._http = httpx.Client(
                base_url=connection.base_url,
                transport=Transport(trust, connection.proxy, self._clock),
                headers={
                    TOKEN_HEADER: connection.token,
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    # What a server sends after an answer must not be taken for the next one.
                    "Connection": "close",
                    "User-Agent": f"wallarm-fast-stop-recording/{__version__}",
                },
            )
            self._http.base_url.host  # noqa: B018 - decoding an international name may fail
        except UnicodeError:
            raise InputError(
                "api_host (WALLARM_API_HOST): is not a valid international domain name (xn--...)"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get_test_run(self, test_run_id: str) -> TestRun:
        """GET /v1/test_run/{id}: the state of a test run."""
        return TestRun.read(self._get(test_run_id), self._token, test_run_id)

    def get_progress(self, test_run_id: str) -> Progress:
        """GET /v1/test_run/{id}: how far its security tests are."""
        return Progress.read(self._get(test_run_id), self._token, test_run_id)

    def stop_test_run(self, test_run_id: str) -> TestRun:
        """POST /v1/test_run/{id}/action/stop: stop recording. The answer may say nothing about the run."""
        body = self._request("POST", f"/v1/test_run/{test_run_id}/action/stop")
        return TestRun.read(body, self._token, test_run_id)

    def stop_test_record(self, test_record_id: str, test_run_id: str) -> TestRun:
        """POST /v1/test_record/{id}/action/stop: the same, by test record; the answer may be about either."""
        body = self._request("POST", f"/v1/test_record/{test_record_id}/action/stop")
        return TestRun.read(body, self._token, test_run_id, test_record_id)

    def copy_test_run(self, fields: Mapping[str, object]) -> str:
        """POST /v1/test_run with a `test_record_id` among the fields: copy a run; return its id."""
        body = self._request("POST", "/v1/test_run", fields, unknown="test record")
        test_run_id = parse_id(body.get("id"), self._token) if isinstance(body, dict) else None
        if test_run_id is None:
            raise TransientError(RefusedError, "the answer names no test run")
        return test_run_id

    def _get(self, test_run_id: str) -> Mapping[str, object]:
        body = self._request("GET", f"/v1/test_run/{test_run_id}")
        if not isinstance(body, dict):
            raise TransientError(RefusedError, "the answer is not a test run")
        return body

    def _request(
        self,
        method: Literal["GET", "POST"],
        path: str,
        fields: Mapping[str, object] | None = None,
        *,
        unknown: str = "test run",
    ) -> object:
        """Make a request and return the body of the envelope, None if a good answer has none.

        `fields` are sent as JSON; a 404 says that this is `unknown`.
        """
        started = self._clock.monotonic()
        try:
            response, content = self._send(method, path, fields)
        except httpx.TransportError as error:
            _log.debug("%s %s -> %s", method, path, type(error).__name__)
            self._raise_for_connection(error)
        seconds = self._clock.monotonic() - started
        _log.debug("%s %s -> %d in %.3f s", method, path, response.status_code, seconds)
        envelope = _read_envelope(content, response.headers.get("Content-Encoding", ""))
        code = response.status_code
        if envelope and envelope.status and envelope.status >= _FIRST_ERROR:
            code = min(envelope.status, _LAST_ERROR)
        if not httpx.codes.is_success(code):
            detail = envelope.detail(self._token) if envelope else ""
            detail = f"HTTP {code}: {detail}" if detail else f"HTTP {code}"
            self._raise_for_status(code, detail, response, unknown)
        if envelope is None:
            raise TransientError(
                RefusedError, "the answer cannot be read: it is not JSON, too long or damaged"
            )
        return envelope.body

    def _send(
        self, method: str, path: str, fields: Mapping[str, object] | None
    ) -> tuple[httpx.Response, bytes]:
        """Return the response and its content, which is read only as far as shows that it is too long.

        Connecting and answering may each take half of the time left, so that a silent server leaves time to
        look at the run.
        """
        # Waiting here and not in httpx, whose time for it grows with the square of the requests that wait.
        its_turn = self._turns.acquire(timeout=self._deadline.remaining())
        try:
            left = self._deadline.remaining()
            if not its_turn or not left:
                raise UnreachableError("time is up; raise timeout, or try again later")
            seconds = min(MAX_REQUEST_SECONDS, left / 2)
            with self._http.stream(method, path, json=fields, timeout=seconds) as response:
                content = bytearray()
                for chunk in response.iter_raw():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        break
        finally:
            if its_turn:
                self._turns.release()
        return response, bytes(content)

    def _raise_for_connection(self, error: httpx.TransportError) -> NoReturn:
        # What cannot pass is not retried.
        match _tls_error(error):
            case ssl.SSLCertVerificationError() as problem:
                reason = problem.verify_message or "verification failed"
                raise UnreachableError(
                    f"the TLS certificate of {self._server} is not trusted ({reason}); check api_host, "
                    "or name the certificate of its CA in ca_cert"
                ) from None
            case ssl.SSLError(reason=reason) if reason in _NOT_TLS:
                raise UnreachableError(
                    f"{self._server} does not speak TLS; check the port in api_host"
                ) from None
        if isinstance(error, httpx.ProxyError) and str(error).startswith(f"{_PROXY_AUTHENTICATION_REQUIRED}"):
            self._raise_for_proxy()
        not_sent = isinstance(
            error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError
        )
        # What follows the colon comes from the server. A proxy may say a lot, but it never has the token.
        words = str(error).partition(":")[0] if isinstance(error, httpx.ProtocolError) else str(error)[:200]
        reason = "timed out" if isinstance(error, httpx.TimeoutException) else words or type(error).__name__
        action = "no connection to" if not_sent else "no complete answer from"
        raise TransientError(
            UnreachableError, f"{action} {self._server}: {reason}", may_have_acted=not not_sent
        ) from None

    def _raise_for_proxy(self) -> NoReturn:
        raise UnreachableError(
            f"no connection to {self._server}: the proxy refused the credentials (HTTP 407); check user and "
            "password in HTTPS_PROXY or HTTP_PROXY"
        ) from None

    def _raise_for_status(self, code: int, detail: str, response: httpx.Response, unknown: str) -> NoReturn:
        if code in _TOKEN_REFUSED:
            raise TokenRefusedError(
                f"{self._server} refused the token ({detail}); check that it is a FAST node token and that "
                f"cloud_region ({', '.join(CLOUDS)}) or api_host is that of its cloud"
            )
        if code in _RETRIED or code >= _FIRST_SERVER_ERROR:
            raise TransientError(
                UnreachableError,
                f"the API answered {detail}",
                retry_after=parse_retry_after(response.headers.get("Retry-After", ""), self._clock.wall()),
                may_have_acted=code not in _TURNED_AWAY,
            )
        if code == _NOT_FOUND:
            raise RunNotFoundError(
                f"{self._server} knows no such {unknown} ({detail}); "
                f"check {unknown.replace(' ', '_')}_id and cloud_region (or api_host)"
            )
        if code == _PROXY_AUTHENTICATION_REQUIRED and self.connection.proxy:
            self._raise_for_proxy()
        if httpx.codes.is_redirect(code):
            raise RefusedError(
                f"the API answered with a redirect ({detail}), which is not followed; check api_host"
            )
        error = UnknownCallError if code == _METHOD_NOT_ALLOWED else RefusedError
        raise error(f"the API refused the request ({detail})")


def _read_envelope(content: bytes, encoding: str) -> Envelope | None:
    try:
        return Envelope.read(decompress(content, encoding))
    except ValueError:
        return None


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error
