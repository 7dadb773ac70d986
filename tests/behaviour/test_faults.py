"""Every fault on the wire: what is retried and what is final, one error line, and an end by the deadline."""

import datetime as dt
import gzip
import json
import re
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import trustme

from tests.conftest import LOOK, SOON, STOP, TOKEN, AsProcess, InProcess, Ran, assert_stopped
from tests.tools.proxy import Proxy
from tests.tools.simulator import Exchange, Simulator, faults
from tests.tools.simulator.faults import Fault

MIB = 1 << 20
# Whatever the jitter, the last attempt comes 7 s before this deadline: enough for a busy machine.
TIMEOUT = "25.7"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "Deflate": zlib.compress,
}
BROKEN = {
    "reset": faults.reset_before(),
    "closed": faults.close_without_answer(act=False),
    "cut": faults.cut(act=False),
    "a huge head": faults.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * MIB + b"\r\n\r\n{}"),
    "a bad chunk": faults.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "not HTTP": faults.raw(b"220 smtp.example.com ESMTP\r\n"),
    "damaged gzip": faults.answer(200, b"\x1f\x8b\x08 damaged", {"Content-Encoding": "gzip"}),
}
UNREADABLE = {
    "nested": b"[" * 100_000 + b"]" * 100_000,
    "invalid UTF-8": b'{"status": 200, "body": {"state": "\xff\xfe"}}',
    "UTF-16": '{"status": 200, "body": {}}'.encode("utf-16"),
    "NaN": b'{"status": 200, "body": {"baseline_count": NaN}}',
    "5000 digits": b'{"status": 200, "body": {"id": ' + b"9" * 5000 + b"}}",
}
DAMAGED = {
    **{name: (fault, 6, "no complete answer from 127.0.0.1: ") for name, fault in BROKEN.items()},
    **{name: (faults.answer(200, text), 5, "cannot be read") for name, text in UNREADABLE.items()},
}


def assert_failed(ran: Ran, exit_code: int, *words: str) -> None:
    assert ran.exit_code == exit_code
    (error,) = ran.errors
    assert error.startswith("test run 5080: ")
    assert [word for word in words if word not in error] == []
    assert ran.seconds < SOON


@pytest.mark.parametrize("way", ["http", "https", "handshake", "403", "502"])
def test_a_request_that_was_never_sent_is_retried_without_a_look_at_the_run(
    way: str, step: InProcess, tls_sim: Simulator, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls_sim.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # without a certificate no handshake succeeds
    host = f"{way}://127.0.0.1:{closed_port}" if way.startswith("http") else tls_sim.url
    with Proxy(int(way) if way.isdigit() else None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url if way.isdigit() else "")
        ran = step(WALLARM_API_HOST=host, CI_DEBUG_TRACE="true")
    attempts = len(step.clock.slept) + 1
    assert attempts > 10
    assert_failed(ran, 6, "no connection to ", f"(tried {attempts} times)")
    assert re.findall(r"(?m)^debug: (\S+) /v1/", ran.stderr) == ["POST"] * attempts
    assert len(proxy.asked) == (attempts if way.isdigit() else 0)


def test_a_tls_handshake_that_hangs_is_abandoned_without_a_look_at_the_run(step: InProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        ran = step(WALLARM_API_HOST=url, STOP_RECORDING_TIMEOUT="0.7", CI_DEBUG_TRACE="true")
    assert_failed(ran, 6)
    assert "GET" not in ran.log


@pytest.mark.parametrize(("name", "reason"), [("localhost", "has expired"), ("api.example.com", "mismatch")])
def test_an_expired_or_mismatched_certificate_fails_at_once(
    name: str, reason: str, step: InProcess, ca: trustme.CA, ca_pem: str
) -> None:
    until = dt.datetime(2020 if name == "localhost" else 2100, 1, 1, tzinfo=dt.UTC)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name, not_after=until).configure_cert(tls)
    with Simulator(token=TOKEN, tls=tls) as sim:
        ran = step(WALLARM_API_HOST=sim.url, STOP_RECORDING_CA_CERT=ca_pem)
    assert_failed(ran, 6, "certificate of localhost is not trusted", reason, "api_host", "ca_cert")
    assert (sim.calls, step.clock.slept) == ([], [])


@pytest.mark.parametrize(("fault", "exit_code", "error"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_answer_is_retried_after_a_look_at_the_run(
    fault: Fault, exit_code: int, error: str, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, times=None)
    assert_failed(step(STOP_RECORDING_TIMEOUT=TIMEOUT), exit_code, error)
    assert sim.calls[:4] == [STOP, LOOK, STOP, LOOK]


def test_all_kinds_of_damage_in_a_row_do_not_lose_the_stop(step: InProcess, sim: Simulator) -> None:
    for fault, *_ in DAMAGED.values():
        sim.faults.add(fault)
    assert_stopped(step(STOP_RECORDING_TIMEOUT="3600"), sim)


def test_the_process_ends_by_the_deadline_even_if_a_request_hangs(process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.drip(0.2, part="all"), times=None)
    assert_failed(process(STOP_RECORDING_TIMEOUT="1"), 6, "no complete answer ")


@pytest.mark.parametrize(("timeout", "limit"), [("120", 30), ("40", 20)])
@pytest.mark.parametrize("late", [False, True])
def test_a_request_may_take_half_of_the_time_left_and_at_most_30_seconds(
    late: bool, timeout: str, limit: float, step: InProcess, sim: Simulator
) -> None:
    """The time passes on the clock of the step: a late answer that is not abandoned hangs for real."""

    def answer_late(exchange: Exchange) -> None:
        head, body = faults.message(*exchange.act())
        step.clock.now += limit + (0.5 if late else -0.5)
        exchange.send(head + body[: 10 if late else None])
        exchange.wait(None)

    sim.faults.add(answer_late, on="stop")
    ran = step("github", STOP_RECORDING_TIMEOUT=timeout)
    assert_stopped(ran, sim, already=late)
    assert sim.calls == [STOP, LOOK][: 1 + late]
    assert ran.seconds < SOON


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("encoding", PACKERS)
def test_at_most_1_mib_is_read(encoding: str, excess: int, step: InProcess, sim: Simulator) -> None:
    def answer(exchange: Exchange) -> None:
        status, payload = exchange.act()
        content = json.dumps(payload).encode().ljust(MIB + excess)
        exchange.answer(status, PACKERS[encoding](content), {"Content-Encoding": encoding})

    sim.faults.add(answer, on="stop")
    ran = step("github")
    assert_stopped(ran, sim, already=bool(excess))
    assert ran.log.count("the answer cannot be read: it is not JSON, too long or damaged; retrying") == excess
    assert sim.calls == [STOP, LOOK][: 1 + excess]


def test_an_answer_without_end_is_cut_off(step: InProcess, sim: Simulator) -> None:
    read_to_the_end = []

    def endless(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (64 * MIB))
        read_to_the_end.append(exchange)
        exchange.close()

    sim.faults.add(endless, on="stop")
    assert_stopped(step(), sim)
    assert read_to_the_end == []


def test_a_compression_bomb_is_not_unpacked(step: InProcess, sim: Simulator) -> None:
    bomb = gzip.compress(b" " * (60 * MIB))
    sim.faults.add(faults.answer(200, bomb, {"Content-Encoding": "gzip"}, act=True), on="stop")
    tracemalloc.start()
    try:
        assert_stopped(step("github"), sim, already=True)
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", '|null|[]|"ok"|1|{"status": 200}|{"body": "ok"}|{"body": [1]}'.split("|"))
def test_an_answer_that_says_nothing_accepts_the_stop_but_confirms_nothing(
    text: str, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(200, text), times=None)
    assert_failed(step(STOP_RECORDING_TIMEOUT=TIMEOUT), 7, "the answer is not a test run")
    assert sim.calls == [STOP] + [LOOK] * (len(sim.calls) - 1)


def test_a_transient_status_code_is_retried_as_the_api_asks(step: InProcess, sim: Simulator) -> None:
    expected, calls = [], []
    for code in (408, 423, 425, 429, 500, 501, 502, 503, 504, 505, 520, 522, 599):
        envelope = {"status": code, "body": "busy"}
        for http, body, detail in ((code, None, ""), (code, "<html>", ""), (200, envelope, ": busy")):
            sim.faults.add(faults.answer(http, body, {"Retry-After": "7"}), on="stop")
            expected.append(f"{code}{detail}")
            calls += [STOP] if code < 500 else [STOP, LOOK]
    ran = step(STOP_RECORDING_TIMEOUT="3600")
    assert_stopped(ran, sim)
    assert re.findall("the API answered HTTP (.*); retrying in 7.0 s", ran.stderr) == expected
    assert sim.calls == [*calls, STOP]


@pytest.mark.parametrize("code", [400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 422, 424, 426, 451])
@pytest.mark.parametrize("http", [None, 200, 201, 500])
def test_any_other_4xx_is_final_in_the_status_line_or_the_envelope(
    http: int | None, code: int, step: InProcess, sim: Simulator
) -> None:
    fault = faults.envelope(code, "no way", http) if http else faults.envelope(200, "no way", code)
    sim.faults.add(fault, times=None)
    exit_code = {401: 3, 403: 3, 404: 4}.get(code, 5)
    advice = {3: "the token was refused", 4: "check test_run_id and cloud_region", 5: "the API refused"}
    assert_failed(step(), exit_code, f"(HTTP {code}: no way)", advice[exit_code])
    assert sim.calls == ([STOP] if exit_code == 3 else [STOP, LOOK])
    assert step.clock.slept == []


@pytest.mark.parametrize("code", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("location", ["{other}/x", "mailto:a@example.com", "http://[", "//x:99999/", "\xe9"])
def test_a_redirect_is_never_followed(
    location: str, code: int, step: InProcess, sim: Simulator, tls_sim: Simulator
) -> None:
    location = location.format(other=tls_sim.url)
    head = f"HTTP/1.1 {code} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    sim.faults.add(lambda exchange: exchange.send(head.encode("latin-1")), times=None)
    assert_failed(step(), 5, f"redirect (HTTP {code})", "check api_host")
    assert sim.calls == [STOP, LOOK]
    assert (tls_sim.connections, step.clock.slept) == (0, [])
