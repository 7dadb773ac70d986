"""Every fault on the wire: what is retried and what is final, one error line, and an end by the deadline."""

import codecs
import gzip
import json
import re
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from tests.assertions import assert_failed, assert_stopped
from tests.harness import LOOK, SOON, STOP, TIMEOUT, FakeClock, InProcess, Ran
from tests.tools.simulator import Exchange, Simulator, faults
from tests.tools.simulator.faults import Fault

MIB = 1 << 20
HTML = {"Content-Type": "text/html; charset=utf-8"}
PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "plain": ("identity", bytes),
    "byte order mark": ("identity", lambda text: codecs.BOM_UTF8 + text[:-3]),
    "gzip": ("gzip", gzip.compress),
    "gzip in two members": ("GZip", lambda text: gzip.compress(text[:9]) + gzip.compress(text[9:])),
    "deflate": ("Deflate", zlib.compress),
}
BROKEN = {
    "reset": faults.reset_before(),
    "closed": faults.close_without_answer(act=False),
    "cut": faults.cut(act=False),
    "a huge head": faults.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * MIB + b"\r\n\r\n{}"),
    "a bad chunk": faults.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "not HTTP": faults.raw(b"220 smtp.example.com ESMTP\r\n"),
}
PACKED = gzip.compress(b'{"status": 200, "body": {}}')
ENDLESS = {
    "status line": (b"HTTP/1.1 200 ", b"x" * 999),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\nX: " + b"x" * 999 + b"\r\n\r\n"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 999),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3e7\r\n" + b" " * 999 + b"\r\n"),
    "after gzip": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + PACKED, b"x" * 999),
}
UNREADABLE = {
    "nested": b"[" * 100_000 + b"]" * 100_000,
    "invalid UTF-8": b'{"status": 200, "body": {"state": "\xff\xfe"}}',
    "UTF-16": '{"status": 200, "body": {}}'.encode("utf-16"),
    "NaN": b'{"status": 200, "body": {"baseline_count": NaN}}',
    "5000 digits": b'{"status": 200, "body": {"id": ' + b"9" * 5000 + b"}}",
}
DAMAGED_GZIP = {"head": PACKED[:3], "sum": PACKED[:-8] + bytes(8), "cut": PACKED[:-9], "more": PACKED + b"x"}
OFF = {"recording": False, "test_record_id": 9058}
NOT_USED = [
    *((OFF | {"id": value}, "is about another test run") for value in (5081, "5081", True, [0])),
    *((OFF | {"recording": value}, "neither true nor false") for value in ("true", "false", 1, 0, [0])),
]
DAMAGED = {
    **{name: (fault, 6, "no complete response from 127.0.0.1:") for name, fault in BROKEN.items()},
    **{name: (faults.answer(200, text), 5, "unreadable response") for name, text in UNREADABLE.items()},
    **{
        f"gzip, {name}": (faults.answer(200, data, {"Content-Encoding": "gzip"}), 5, "unreadable response")
        for name, data in DAMAGED_GZIP.items()
    },
    **{str(run): (faults.envelope(200, run), 5, error) for run, error in NOT_USED},
    "a bad chunk": (BROKEN["a bad chunk"], 6, ": illegal chunk header (tried "),
}


@pytest.mark.parametrize(("fault", "exit_code", "error"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_response_is_retried_after_fetching_the_run(
    fault: Fault, exit_code: int, error: str, stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, times=None)
    assert_failed(stop(STOP_RECORDING_TIMEOUT=TIMEOUT), exit_code, error)
    assert sim.calls[:4] == [STOP, LOOK, STOP, LOOK]


def answer_in_parts(sim: Simulator, clock: FakeClock, *, after: float, missing: int) -> None:
    """Let the response to the stop come after so many seconds of the step, its last bytes a little later."""

    def answer(exchange: Exchange) -> None:
        data = b"".join(faults.message(*exchange.act()))
        clock.now += after
        exchange.send(data[: len(data) - missing])
        exchange.wait(0.05)  # less than is left
        exchange.send(data[len(data) - missing :])
        exchange.wait(None)

    sim.faults.add(answer, on="stop")


@pytest.mark.parametrize(("timeout", "limit"), [("120", 30), ("40", 20)])
@pytest.mark.parametrize(("before", "missing"), [(5, 10), (-0.5, 0)], ids=["early", "late, but all there"])
def test_a_response_may_take_half_of_the_time_left_and_at_most_30_seconds(  # noqa: PLR0913, PLR0917 - columns
    before: float, missing: int, timeout: str, limit: float, stop: InProcess, sim: Simulator
) -> None:
    answer_in_parts(sim, stop.clock, after=limit - before, missing=missing)
    ran = stop("github", STOP_RECORDING_TIMEOUT=timeout)
    assert_stopped(ran, sim, already=False)
    assert sim.calls == [STOP]
    assert ran.seconds < SOON


@pytest.mark.parametrize(("timeout", "limit"), [("120", 30), ("40", 20)])
def test_a_response_that_is_not_complete_by_then_is_abandoned(
    timeout: str, limit: float, stop: InProcess, sim: Simulator
) -> None:
    def answer_late(exchange: Exchange) -> None:
        data = b"".join(faults.message(*exchange.act()))
        stop.clock.now += limit + 0.5
        exchange.send(data[:-10])
        exchange.wait(None)  # hangs for real if it is not abandoned

    sim.faults.add(answer_late, on="stop")
    ran = stop("github", STOP_RECORDING_TIMEOUT=timeout)
    assert_stopped(ran, sim, already=True)
    assert sim.calls == [STOP, LOOK]
    assert ran.seconds < SOON


def answer_with(sim: Simulator, size: int, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """Let the response to the stop have so many bytes before they are packed."""

    def answer(exchange: Exchange) -> None:
        status, payload = exchange.act()
        content = json.dumps(payload).encode().ljust(size)
        exchange.answer(status, pack(content), {"Content-Encoding": encoding})

    sim.faults.add(answer, on="stop")


@pytest.mark.parametrize(("encoding", "pack"), PACKERS.values(), ids=PACKERS)
def test_1_mib_is_read(
    encoding: str, pack: Callable[[bytes], bytes], stop: InProcess, sim: Simulator
) -> None:
    answer_with(sim, 1_048_576, encoding, pack)
    ran = stop("github")
    assert_stopped(ran, sim, already=False)
    assert sim.calls == [STOP]
    assert "retrying" not in ran.log


@pytest.mark.parametrize(("encoding", "pack"), PACKERS.values(), ids=PACKERS)
def test_more_than_1_mib_is_not_read(
    encoding: str, pack: Callable[[bytes], bytes], stop: InProcess, sim: Simulator
) -> None:
    answer_with(sim, 1_048_577, encoding, pack)
    ran = stop("github")
    assert_stopped(ran, sim, already=True)
    assert sim.calls == [STOP, LOOK]
    assert ran.log.count("unreadable response: not JSON, truncated, or over 1 MiB; retrying") == 1


@pytest.mark.parametrize(("pause", "passes", "copies"), [(0, 0, 64), (0.02, 10, 1)], ids=["fast", "slow"])
@pytest.mark.parametrize(("start", "part"), ENDLESS.values(), ids=ENDLESS)
def test_a_response_without_end_is_abandoned(  # noqa: PLR0913, PLR0917 - columns and fixtures
    start: bytes, part: bytes, pause: float, passes: float, copies: int, stop: InProcess, sim: Simulator
) -> None:
    """It comes as fast as it is read, or slowly on the clock of the step."""

    def endless(exchange: Exchange) -> None:
        exchange.act()
        exchange.send(start)
        while exchange.wait(pause):
            stop.clock.now += passes
            exchange.send(part * copies)

    sim.faults.add(endless, on="stop")
    ran = stop("github")
    assert_stopped(ran, sim, already=True)
    assert sim.calls == [STOP, LOOK]
    assert ran.seconds < SOON


def test_a_compression_bomb_is_not_unpacked(stop: InProcess, sim: Simulator) -> None:
    bomb = gzip.compress(b" " * (60 * MIB))
    sim.faults.add(faults.answer(200, bomb, {"Content-Encoding": "gzip"}, act=True), on="stop")
    tracemalloc.start()
    try:
        assert_stopped(stop("github"), sim, already=True)
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", '|null|[]|"ok"|1|{"status": 200}|{"body": "ok"}|{"body": [1]}'.split("|"))
def test_a_response_that_says_nothing_accepts_the_stop_but_confirms_nothing(
    text: str, stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(200, text), times=None)
    assert_failed(stop(STOP_RECORDING_TIMEOUT=TIMEOUT), 7, "at the deadline (no test run in the response)")
    first, *others = sim.calls
    assert first == STOP
    assert set(others) == {LOOK}


def answer_thrice(sim: Simulator, code: int) -> None:
    """Let the API answer the stop with this code: without a body, with HTML, and in an envelope of 200."""
    envelope = {"status": code, "body": "busy"}
    for http, body in ((code, None), (code, "<html>"), (200, envelope)):
        sim.faults.add(faults.answer(http, body, {"Retry-After": "7"}), on="stop")


def assert_retried_thrice(ran: Ran, code: int) -> None:
    assert re.findall("the API responded with HTTP (.*); retrying in 7.0 s", ran.stderr) == [
        f"{code}",
        f"{code}",
        f"{code}: busy",
    ]


@pytest.mark.parametrize("code", [408, 425, 500, 501, 502, 503, 504, 505, 520, 522, 599])
def test_a_transient_status_code_is_retried_as_the_api_asks_after_fetching_the_run(
    code: int, stop: InProcess, sim: Simulator
) -> None:
    answer_thrice(sim, code)
    ran = stop(CI_DEBUG_TRACE="true")  # which shows every retry
    assert_stopped(ran, sim)
    assert_retried_thrice(ran, code)
    assert sim.calls == [STOP, LOOK, STOP, LOOK, STOP, LOOK, STOP]


@pytest.mark.parametrize("code", [423, 429])
def test_a_status_code_that_rejects_the_request_for_now_is_retried_without_a_fetch(
    code: int, stop: InProcess, sim: Simulator
) -> None:
    answer_thrice(sim, code)
    ran = stop(CI_DEBUG_TRACE="true")  # which shows every retry
    assert_stopped(ran, sim)
    assert_retried_thrice(ran, code)
    assert sim.calls == [STOP, STOP, STOP, STOP]


FINAL = [
    *((code, 5, "the API refused") for code in (400, 402, 405, 406, 407, 409, 410, 422, 424, 426, 451)),
    (404, 4, "check test_run_id and cloud_region"),
]


def answer_finally(sim: Simulator, code: int, http: int | None) -> None:
    """Let the API answer with this code in the envelope, or without `http` in the status line."""
    fault = faults.envelope(code, "no way", http) if http else faults.envelope(200, "no way", code)
    sim.faults.add(fault, times=None)


@pytest.mark.parametrize(("code", "exit_code", "words"), FINAL)
@pytest.mark.parametrize("http", [None, 200, 201, 500])
def test_any_other_4xx_is_final_in_the_status_line_or_the_envelope(  # noqa: PLR0913, PLR0917 - columns
    http: int | None, code: int, exit_code: int, words: str, stop: InProcess, sim: Simulator
) -> None:
    answer_finally(sim, code, http)
    assert_failed(stop(), exit_code, f"(HTTP {code}: no way)", words)
    assert sim.calls == [STOP, LOOK]
    assert stop.clock.slept == []


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("http", [None, 200, 201, 500])
def test_a_refused_token_is_final_without_fetching_the_run(
    http: int | None, code: int, stop: InProcess, sim: Simulator
) -> None:
    answer_finally(sim, code, http)
    assert_failed(stop(), 3, f"(HTTP {code}: no way)", "refused the token")
    assert sim.calls == [STOP]
    assert stop.clock.slept == []


HEADERS = [
    f"Location: {to}" for to in ("{}/x", "mailto:a@b.c", "http://[", "//x:99999/", "//xn--a.b", "\xe9")
]
HEADERS += [f"Set-Cookie: a=b; expires=1 Jan {'1' * 5000}"]  # which the standard library fails to parse


@pytest.mark.parametrize("code", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("header", HEADERS, ids="{:.25}".format)
def test_a_redirect_is_never_followed_whatever_its_headers_say(
    header: str, code: int, stop: InProcess, sim: Simulator, tls_sim: Simulator
) -> None:
    head = f"HTTP/1.1 {code} Moved\r\n{header.format(tls_sim.url)}\r\nContent-Length: 0\r\n\r\n"
    sim.faults.add(lambda exchange: exchange.send(head.encode("latin-1")), times=None)
    ran = stop()
    assert_failed(ran, 5, f"redirect (HTTP {code})", "check api_host")
    assert len(ran.stderr.splitlines()) == 2
    assert sim.calls == [STOP, LOOK]
    assert tls_sim.connections == 0
    assert stop.clock.slept == []


# What is not the API, what comes of it after 15 seconds, and its words.
FOREIGN = {
    "portal": (faults.answer(200, "<html>"), 5, "is not the API: it responded with a web page (HTTP 200)"),
    "by type": (faults.answer(200, "hi", HTML), 5, "is not the API: it responded with a web page (HTTP 200)"),
    "missing": (faults.answer(404, "\n<!DOCTYPE"), 5, "it responded with a web page (HTTP 404)"),
    "401": (faults.answer(401, "no"), 3, "(HTTP 401): either the token is wrong, or something in front"),
    "403": (faults.answer(403, "<html>"), 3, "(HTTP 403): either the token is wrong, or something in front"),
}


@pytest.mark.parametrize(("fault", "exit_code", "words"), FOREIGN.values(), ids=FOREIGN)
def test_a_response_that_is_not_of_the_api_is_retried_for_15_seconds(
    fault: Fault, exit_code: int, words: str, stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, times=None)
    ran = stop(STOP_RECORDING_TIMEOUT="3600")
    assert_failed(ran, exit_code, words, "; check api_host and proxy; recording may still be on")
    assert 5 < sum(stop.clock.slept) < 30  # the stop, and maybe fetching the run


@pytest.mark.parametrize(("fault", "exit_code", "words"), FOREIGN.values(), ids=FOREIGN)
def test_a_response_that_is_not_of_the_api_may_pass(
    fault: Fault, exit_code: int, words: str, stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, on="stop", times=3)
    ran = stop()
    assert_stopped(ran, sim)
    assert words in ran.log


def test_retries_are_logged_every_30_seconds_and_all_of_them_when_debugging(
    stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(429), times=None)
    assert stop("github").stdout.count("; retrying in ") == 4
    before = len(stop.clock.slept)
    ran = stop("github", RUNNER_DEBUG="1")
    assert ran.stdout.count("; retrying in ") == len(stop.clock.slept) - before
    assert len(re.findall("^test run 5080: .*; retrying in ", ran.stdout, re.MULTILINE)) == 4
