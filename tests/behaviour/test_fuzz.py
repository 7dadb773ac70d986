"""Ten thousand answers and more that no API should send, over real sockets, to one client.

The seed is fixed, so that a failure comes again; STOP_RECORDING_FUZZ_SEED chooses another.
"""

import json
import logging
import os
import random
import re
import socket
import socketserver
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stop_recording.clock import Deadline
from stop_recording.errors import StopRecordingError, UnusableAnswer
from stop_recording.recording import Recording, Rules
from stop_recording.reporting import Reporter
from stop_recording.reporting.text import one_line
from stop_recording.result import Report
from stop_recording.retry import Transient
from stop_recording.settings import Platform
from stop_recording.wallarm import WallarmClient
from tests.conftest import TOKEN, FakeClock
from tests.simulator.serving import ThreadingServer

SEED = int(os.environ.get("STOP_RECORDING_FUZZ_SEED", "20180711"))
ANSWERS = 10_500
ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
Answer = tuple[bytes, bool]  # what is sent, and whether the connection stays open after it


class Server(ThreadingServer):
    """Answers each request, whatever it is, with the next answer. Connections are kept alive."""

    def __init__(self, next_answer: Callable[[], Answer]) -> None:
        self.next_answer = next_answer
        self.answered = 0
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pending = b""
        with suppress(OSError):
            while data := self.request.recv(65536):
                pending += data
                while b"\r\n\r\n" in pending:  # no request has a body
                    pending = pending.partition(b"\r\n\r\n")[2]
                    answer, stays = self.server.next_answer()
                    self.server.answered += 1
                    self.request.sendall(answer)
                    if not stays:
                        return


class Lines(Reporter):
    """Keeps the lines that would be printed."""

    def __init__(self) -> None:
        platform = Platform(
            kind="console",
            output_file=None,
            github_output=None,
            github_step_summary=None,
            debug=True,
            secrets=(TOKEN,),
        )
        super().__init__(platform)
        self.lines: list[str] = []

    def show(self, level: int, line: str, title: str) -> None:
        self.lines.append(line)

    def hand_on(self, outputs: dict[str, str], report: Report) -> None:
        """There is nowhere to hand them on to."""


def http(status: int, content: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s" % (status, headers, len(content), content)


class Hostile:
    """Makes answers: good ones, wrong ones in good HTTP, and good ones with their bytes changed."""

    texts = (
        "", "running", TOKEN, f"x{TOKEN}y", "::error::x", "##[error]x", "\x1b[31m", "a\nb", "a\r\n::debug::x",
        "\u2028",
        "\ud800", "../..", "rec_1", "9058", "x" * 129, "x" * 3000, "NaN", "true", "&<b>|`", "\0", "\u202e",
    )  # fmt: skip
    codes = (200, 200, 200, 200, 201, 204, 301, 302, 304, 400, 401, 403, 404, 405, 408, 409, 418, 423, 425,
             429, 500, 502, 503, 522, 599, 600, 999)  # fmt: skip
    header_values = (b"", b"0", b"1", b"99999999999", TOKEN.encode(), b"gzip", b"deflate", b"br", b"chunked",
                     b"identity", b"close", b"keep-alive", b"Wed, 21 Oct 2015 07:28:00 GMT", b"\xff\xfe",
                     b"a=b; Path=/", b"a=\xff", b"mailto:x",
                     b"http://evil.example/", b"mail", b"-1", b"x" * 300, b"::error::")  # fmt: skip
    header_names = (b"Retry-After", b"Content-Encoding", b"Set-Cookie", b"Connection", b"X-Token",
                    b"Content-Type", b"Server", b"Date", b"Upgrade")  # fmt: skip

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, depth: int = 3) -> object:  # noqa: PLR0911  # a kind of value each
        kind = self.random.randrange(10 if depth else 7)
        match kind:
            case 0:
                return None
            case 1:
                return self.random.random() < 0.5
            case 2:
                return self.random.choice((0, -1, 5, 9058, 400, 503, 10**12, 10**25, 10**300))
            case 3:
                return self.random.choice((0.5, -0.0, 1e300, 200.0))
            case 4 | 5 | 6:
                return self.random.choice(self.texts)
            case 7:
                return [self.value(depth - 1) for _ in range(self.random.randrange(4))]
            case _:
                return {
                    self.random.choice(self.texts): self.value(depth - 1)
                    for _ in range(self.random.randrange(4))
                }

    def run(self) -> dict[str, object]:
        run: dict[str, object] = {
            "id": 5080,
            "recording": self.random.random() < 0.3,
            "test_record_id": 9058,
            "state": "running",
            "baseline_count": 5,
        }
        for _ in range(self.random.randrange(4)):
            run[self.random.choice(list(run))] = self.value()
        for _ in range(self.random.randrange(2)):
            run.pop(self.random.choice(list(run)))
        return run

    def content(self) -> bytes:
        body = self.run() if self.random.random() < 0.7 else self.value()
        status = self.random.choice((*self.codes, self.value()))
        envelope = {"status": status, "body": body} if self.random.random() < 0.9 else self.value()
        content = json.dumps(envelope, ensure_ascii=self.random.random() < 0.5)
        return content.encode(errors="surrogatepass")

    def headers(self) -> bytes:
        return b"".join(
            b"%s: %s\r\n" % (self.random.choice(self.header_names), self.random.choice(self.header_values))
            for _ in range(self.random.choice((0, 0, 0, 1, 2)))
        )

    def spoilt(self, data: bytes) -> bytes:
        spoilt = bytearray(data)
        for _ in range(self.random.randint(1, 8)):
            at = self.random.randrange(len(spoilt) + 1)
            match self.random.randrange(5):
                case 0:
                    spoilt[at : at + 1] = bytes([self.random.randrange(256)])
                case 1:
                    del spoilt[at : at + self.random.randint(1, 30)]
                case 2:
                    spoilt[at:at] = self.random.randbytes(self.random.randint(1, 10))
                case 3:
                    spoilt[at:at] = spoilt[: self.random.randrange(60)]
                case _:
                    spoilt[at:at] = TOKEN.encode()
        return bytes(spoilt)

    def __call__(self) -> Answer:
        answer = http(self.random.choice(self.codes), self.content(), self.headers())
        if self.random.random() < 0.6:
            return answer, True
        if self.random.random() < 0.1:
            return self.random.randbytes(self.random.randrange(200)), False
        return self.spoilt(answer), False


def capture_no_log() -> None:
    """Keep pytest from collecting raw log lines: a lone surrogate in one cannot be sent between workers."""
    log = logging.getLogger("stop_recording")
    for handler in list(log.handlers):
        log.removeHandler(handler)


def assert_safe(line: str) -> None:
    assert TOKEN not in line
    assert line.isprintable()
    assert not line.lstrip().startswith("::")
    assert "##[" not in line
    assert len(line) < 2000


def test_ten_thousand_hostile_answers_crash_nothing_hang_nothing_and_leak_nothing(
    record_property: Callable[[str, object], None],
) -> None:
    capture_no_log()
    print(f"seed {SEED}")
    record_property("seed", SEED)
    chance = random.Random(SEED)
    clock = FakeClock()
    ends: dict[str, int] = {}
    longest = 0.0
    with (
        Server(Hostile(SEED)) as server,
        Lines() as reporter,
        WallarmClient(server.url, TOKEN, None, Deadline.after(1e12, clock.clock)) as client,
    ):
        while server.answered < ANSWERS:
            rules = Rules(chance.choice((0, 0, 2)), chance.choice((0, 3)), chance.random() < 0.05)
            recording = Recording(
                "5080", client, rules, Deadline.after(chance.choice((1, 3, 8)), clock.clock)
            )
            started = time.monotonic()
            try:
                recording.stop()
                ends["stopped"] = ends.get("stopped", 0) + 1
                assert rules.dry_run or recording.result().test_record_id
                assert rules.dry_run or recording.result().recording is not True
            except StopRecordingError as error:
                recording.error = error
                ends[error.status] = ends.get(error.status, 0) + 1
                assert_safe(one_line(f"test run 5080: {error}", (TOKEN,)))
            longest = max(longest, time.monotonic() - started)
            result = recording.result()
            assert result.test_record_id is None or ID.fullmatch(result.test_record_id)
            assert TOKEN not in (result.test_record_id or "") + (result.state or "")
    for line in reporter.lines:
        assert_safe(line)
    assert longest < 5
    assert len(reporter.lines) > ANSWERS / 2
    # Chance came to every end, or it would prove little.
    assert set(ends) >= {"stopped", "refused", "unreachable", "not_confirmed", "token_refused", "not_found"}
    assert "too_few_baselines" in ends


# Envelopes, one by one: whatever they say, what leaves the client is of the expected form.


class Echo:
    """The one answer that is given to whatever comes."""

    content = b""
    status = 200

    def __call__(self) -> Answer:
        return http(self.status, self.content), True


@pytest.fixture(scope="module")
def echo() -> Echo:
    return Echo()


@pytest.fixture(scope="module")
def client(echo: Echo) -> Iterator[WallarmClient]:
    with (
        Server(echo) as server,
        WallarmClient(server.url, TOKEN, None, Deadline.after(1e9, FakeClock().clock)) as client,
    ):
        yield client


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(Hostile.texts),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=10,
)
RUNS = st.fixed_dictionaries(
    {}, optional={"recording": JSON, "test_record_id": JSON, "state": JSON, "baseline_count": JSON, "x": JSON}
)
PROPERTY = settings(
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@PROPERTY
@given(body=RUNS | JSON)
def test_only_values_of_the_expected_form_leave_the_client(
    body: object, echo: Echo, client: WallarmClient
) -> None:
    echo.status = 200
    echo.content = json.dumps({"status": 200, "body": body}).encode()
    said = body if isinstance(body, dict) else {}
    try:
        run = client.stop_test_run("5080")
    except UnusableAnswer:
        assert said["test_record_id"] not in (None, "")
        return
    recording, count = said.get("recording"), said.get("baseline_count")
    assert run.recording is (recording if isinstance(recording, bool) else None)
    assert run.test_record_id is None or (
        ID.fullmatch(run.test_record_id) and run.test_record_id == str(said["test_record_id"])
    )
    assert run.state is None or (run.state == said["state"] and re.fullmatch("[a-z_]{1,32}", run.state))
    assert run.baseline_count is None or (run.baseline_count == count and type(count) is int and count >= 0)


@PROPERTY
@given(status=st.integers(200, 599), envelope=JSON, body=JSON)
def test_any_answer_is_a_run_or_an_error_without_the_token(
    status: int, envelope: object, body: object, echo: Echo, client: WallarmClient
) -> None:
    echo.status = status
    echo.content = json.dumps({"status": envelope, "body": body}).encode()
    message = ""
    try:
        client.stop_test_run("5080")
        assert 200 <= status < 300
        assert not isinstance(envelope, int) or envelope < 400
    except (StopRecordingError, Transient) as error:
        message = str(error)
    assert TOKEN not in message
    assert_safe(one_line(f"test run 5080: {message}"))


@PROPERTY
@given(content=st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_an_error(content: bytes, echo: Echo, client: WallarmClient) -> None:
    echo.status, echo.content = 200, content
    with suppress(StopRecordingError, Transient):
        run = client.stop_test_run("5080")
        assert not content.strip() or json.loads(content) is not Ellipsis
        assert run.test_record_id is None or ID.fullmatch(run.test_record_id)
