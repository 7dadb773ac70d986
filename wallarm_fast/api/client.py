"""The calls of the test-run API."""

import logging
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, Self
from urllib.parse import urlsplit

import httpx

from wallarm_fast import __version__
from wallarm_fast.api.connection import Connection
from wallarm_fast.api.failures import connection_failure, response_failure
from wallarm_fast.api.responses import Envelope
from wallarm_fast.api.retry import TransientError
from wallarm_fast.api.test_run import TestRun
from wallarm_fast.api.transport import Transport
from wallarm_fast.clock import Deadline
from wallarm_fast.errors import DeadlineError, RefusedError

MAX_CONNECTIONS = 64
MAX_REQUEST_SECONDS = 30.0
TOKEN_HEADER = "X-WallarmAPI-Token"  # noqa: S105 - a name, not a token
# A parsed response takes many times the memory of its text.
_MAX_PARSED_AT_ONCE = 2
# How long a response may wait beyond the deadline, in seconds. A process that was paused may be long past it.
_PARSING_GRACE = 0.5
_log = logging.getLogger(__name__)


class WallarmClient:
    """Makes the calls of one API server with one token. A context manager; threads may share it.

    Every call makes one request. It raises TransientError for a failure that is worth retrying, otherwise
    TokenRefusedError, NotFoundError (404, which may also mean that the API does not have the call),
    UnknownCallError (405), RefusedError, UnreachableError (an error of TLS, or a proxy's refusal) or
    DeadlineError if there is no time left.
    """

    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        self.connection = connection
        self.deadline = deadline
        self._turns = threading.Semaphore(MAX_CONNECTIONS)
        self._parsers = threading.Semaphore(_MAX_PARSED_AT_ONCE)
        transport = Transport(_make_trust(connection), connection.proxy, deadline.clock, MAX_CONNECTIONS)
        self._http = httpx.Client(
            base_url=connection.base_url,
            transport=transport,
            headers={
                TOKEN_HEADER: connection.token,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Connection": "close",
                "User-Agent": f"wallarm-fast/{__version__}",
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get_test_run(self, test_run_id: str) -> TestRun:
        """GET /v1/test_run/{id}: the state of a test run."""
        return self._request("GET", f"/v1/test_run/{test_run_id}", test_run_id, required=True)

    def stop_test_run(self, test_run_id: str) -> TestRun:
        """POST /v1/test_run/{id}/action/stop: stop recording. The response may say nothing about the run."""
        return self._request("POST", f"/v1/test_run/{test_run_id}/action/stop", test_run_id)

    def stop_test_record(self, test_record_id: str, test_run_id: str) -> TestRun:
        """POST /v1/test_record/{id}/action/stop: by test record; the response may be of either."""
        path = f"/v1/test_record/{test_record_id}/action/stop"
        return self._request("POST", path, test_run_id, test_record_id, resource="")

    def create_test_run(self, fields: Mapping[str, object]) -> TestRun:
        """POST /v1/test_run: create a run, or copy one if there is a `test_record_id` among the fields."""
        resource = "test record" if "test_record_id" in fields else ""
        run = self._request("POST", "/v1/test_run", fields=fields, resource=resource)
        if run.id is None:
            raise TransientError(RefusedError, "no id of a test run in the response")
        return run

    def _request(
        self,
        method: Literal["GET", "POST"],
        path: str,
        *ids: str,
        fields: Mapping[str, object] | None = None,
        resource: str = "test run",
        required: bool = False,
    ) -> TestRun:
        """Make a request and return the test run in its response, which must be one of these ids.

        `fields` are sent as JSON; a 404 says that the `resource` was not found, if there is one. Unless it is
        `required`, there may be no test run in a good response.
        """
        clock, started = self.deadline.clock, self.deadline.clock.monotonic()
        try:
            response = self._send(method, path, fields)
        except httpx.TransportError as error:
            _log.debug("%s %s -> %s", method, path, type(error).__name__)
            raise connection_failure(error, self.connection) from None
        seconds = clock.monotonic() - started
        _log.debug("%s %s -> %d in %.3f s", method, path, response.status_code, seconds)
        with _turn(self._parsers, self.deadline.remaining() + _PARSING_GRACE):
            try:
                envelope = Envelope.parse(response.content)
            except ValueError:
                envelope = None
            if failure := response_failure(response, envelope, self.connection, clock.wall(), resource):
                raise failure
            body = envelope.body if envelope else None
            if required and not isinstance(body, dict):
                raise TransientError(RefusedError, "no test run in the response")
            return TestRun.parse(body, self.connection.token, *ids)

    def _send(self, method: str, path: str, fields: Mapping[str, object] | None) -> httpx.Response:
        """Send a request when it is its turn.

        Connecting and responding may each take half of the time left, so that a silent server leaves time to
        fetch the run.
        """
        # Waiting here and not in the pool, whose time for it grows with the square of the requests that wait.
        with _turn(self._turns, self.deadline.remaining()):
            left = self.deadline.remaining()
            if not left:
                raise _no_time()
            seconds = min(MAX_REQUEST_SECONDS, left / 2)
            return self._http.request(method, path, json=fields, timeout=seconds)


@contextmanager
def _turn(turns: threading.Semaphore, seconds: float) -> Iterator[None]:
    """Wait for a turn, for so many seconds; raises DeadlineError if none comes."""
    if not turns.acquire(timeout=seconds):
        raise _no_time()
    try:
        yield
    finally:
        turns.release()


def _no_time() -> DeadlineError:
    return DeadlineError("no time left for a request").hint("increase timeout, or try again later")


def _make_trust(connection: Connection) -> ssl.SSLContext:
    """Return what verifies certificates, as curl does: chain, dates and host name.

    ssl.create_default_context is stricter from Python 3.13 on: it refuses certificates of many companies.
    A chain may end at any certificate that is trusted: an intermediate or the server's own, too.
    """
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if "https" in (urlsplit(connection.base_url).scheme, urlsplit(connection.proxy or "").scheme):
        trust.load_default_certs()
    if connection.ca_certificates:
        trust.load_verify_locations(cadata=connection.ca_certificates)
    return trust
