"""Every fault on a real socket: the right exit code, one error line that names the run, an end in time.

"For ever" tests run on the fake clock, so that all of the timeout is used up at once; where a socket must
really time out, the clock is real and the timeout short.
"""

import datetime as dt
import gzip
import json
import os
import socket
import ssl
import subprocess
import sys
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme

from tests.conftest import ROOT, TOKEN, AsProcess, InProcess, Ran, assert_no_token
from tests.simulator import Exchange, Simulator, faults
from tests.simulator.faults import Fault

STATUS = {3: "token_refused", 4: "not_found", 5: "refused", 6: "unreachable", 7: "not_confirmed"}
STOP = "POST /v1/test_run/5080/action/stop"
NESTED = b'{"status": 200, "body": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
UNREADABLE = {
    "html": b"<html>please log in</html>",
    "not JSON": b"ok",
    "half of JSON": b'{"status": 200, "body": {"recor',
    "deeply nested": NESTED,
    "deeply nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "invalid UTF-8": b'{"status": 200, "body": {"state": "\xff\xfe"}}',
    "UTF-16": '{"status": 200, "body": {}}'.encode("utf-16"),
    "NaN": b'{"status": 200, "body": {"baseline_count": NaN}}',
    "Infinity": b'{"status": 200, "body": {"baseline_count": -Infinity}}',
    "number of 5000 digits": b'{"status": 200, "body": {"id": ' + b"9" * 5000 + b"}}",
    "2 MiB": json.dumps({"status": 200, "body": {"name": "x" * (2 << 20)}}).encode(),
    "trailing rubbish": b'{"status": 200, "body": {}} trailing',
}
CLOSE = "Connection: close\r\nContent-Length: 0\r\n\r\n"
RETRIED_BELOW_500 = (408, 423, 425, 429)


def assert_failed(ran: Ran, exit_code: int, *words: str, limit: float = 120) -> None:
    assert ran.exit_code == exit_code
    assert len(ran.errors) == 1
    assert ran.errors[0].startswith("test run 5080: ")
    for word in words:
        assert word in ran.errors[0]
    assert "Traceback" not in ran.log
    assert ran.seconds < limit + 2
    assert ran.variables["STOP_RECORDING_STATUS"] == STATUS[exit_code]


def assert_stopped(ran: Ran, sim: Simulator) -> None:
    assert ran.exit_code == 0
    assert ran.errors == []
    assert ran.variables["STOP_RECORDING_STATUS"] == "stopped"
    assert ran.variables["TEST_RECORD_ID"] == "9058"
    assert sim.state.get("5080")["recording"] is False


# The way to the API


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refused_connection_is_retried_until_the_deadline(
    scheme: str, closed_port: int, step: InProcess
) -> None:
    ran = step(WALLARM_API_HOST=f"{scheme}://127.0.0.1:{closed_port}")
    assert_failed(ran, 6, "no connection to 127.0.0.1", "tried")
    assert len(step.clock.slept) > 10
    assert sum(step.clock.slept) <= 120


def test_a_host_that_is_not_known_is_retried_until_the_deadline(step: InProcess) -> None:
    ran = step(WALLARM_API_HOST="host.invalid")
    assert_failed(ran, 6, "no connection to host.invalid")
    assert len(step.clock.slept) > 10


def test_a_connection_that_comes_back_is_used(step: InProcess, sim: Simulator) -> None:
    for _ in range(3):
        sim.faults.add(faults.reset_before())
    assert_stopped(step(), sim)


def test_a_server_that_never_takes_the_connection_ends_in_time(step: InProcess) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(address)
        ran = step(
            WALLARM_API_HOST=f"http://127.0.0.1:{address[1]}", STOP_RECORDING_TIMEOUT="1", real_time=True
        )
        for client in waiting:
            client.close()
    assert_failed(ran, 6, limit=1)


# TLS


def certificate(ca: trustme.CA, name: str, until: dt.datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name, not_after=until).configure_cert(context)
    return context


def test_tls_that_is_trusted_works(step: InProcess, tls_sim: Simulator, ca_pem: str) -> None:
    assert_stopped(step(WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=ca_pem), tls_sim)
    assert tls_sim.calls == [STOP]


def test_tls_that_is_not_trusted_fails_at_once_and_names_ca_cert(step: InProcess, tls_sim: Simulator) -> None:
    ran = step(WALLARM_API_HOST=tls_sim.url)
    assert_failed(ran, 6, "certificate of localhost", "ca_cert")
    assert step.clock.slept == []
    assert tls_sim.requests == []


def test_an_expired_certificate_fails_at_once(step: InProcess, ca: trustme.CA, ca_pem: str) -> None:
    expired = certificate(ca, "localhost", dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    with Simulator(token=TOKEN, tls=expired) as sim:
        ran = step(WALLARM_API_HOST=sim.url, STOP_RECORDING_CA_CERT=ca_pem)
    assert_failed(ran, 6, "expired")
    assert step.clock.slept == []
    assert sim.requests == []


def test_a_certificate_of_another_host_fails_at_once(step: InProcess, ca: trustme.CA, ca_pem: str) -> None:
    with Simulator(token=TOKEN, tls=certificate(ca, "api.example.com")) as sim:
        ran = step(WALLARM_API_HOST=sim.url, STOP_RECORDING_CA_CERT=ca_pem)
    assert_failed(ran, 6, "localhost", "api_host")
    assert step.clock.slept == []
    assert sim.requests == []


def test_https_to_a_server_that_speaks_http_ends_unreachable(step: InProcess, sim: Simulator) -> None:
    assert_failed(step(WALLARM_API_HOST=sim.url.replace("http:", "https:")), 6, "no connection to 127.0.0.1")


def test_a_handshake_that_never_ends_is_given_up_in_time(step: InProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        ran = step(WALLARM_API_HOST=f"https://127.0.0.1:{port}", STOP_RECORDING_TIMEOUT="1", real_time=True)
    assert_failed(ran, 6, limit=1)


@pytest.mark.parametrize(
    "fault",
    [faults.reset_before(), faults.cut(), faults.close_without_answer(), faults.answer(503)],
    ids=["reset", "cut", "closed", "503"],
)
def test_a_fault_inside_tls_is_survived(
    fault: Fault, step: InProcess, tls_sim: Simulator, ca_pem: str
) -> None:
    tls_sim.faults.add(fault, on="stop")
    assert_stopped(step(WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=ca_pem), tls_sim)


# Broken and slow answers

BROKEN = {
    "reset before": faults.reset_before(),
    "closed": faults.close_without_answer(act=False),
    "cut in the body": faults.cut(act=False),
    "cut after the head": faults.cut(0, act=False),
    "not HTTP": faults.raw(b"220 smtp.example.com ESMTP\r\n"),
    "a bad chunk": faults.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "two lengths": faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
    "half a head": faults.raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "a huge head": faults.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n{}"),
    "damaged gzip": faults.answer(200, b"\x1f\x8b\x08 damaged", {"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_for_ever_ends_unreachable(fault: Fault, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(fault, times=None)
    assert_failed(step(STOP_RECORDING_TIMEOUT="20"), 6, "no complete answer from 127.0.0.1")
    assert len(sim.calls) > 4


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_now_and_then_is_survived(fault: Fault, step: InProcess, sim: Simulator) -> None:
    for _ in range(4):
        sim.faults.add(fault)
    assert_stopped(step(), sim)


def _continue(exchange: Exchange) -> None:
    while exchange.wait(0.05):
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")


SLOW = {
    "headers, then silence": faults.silence(act=False),
    "silence": faults.silence(act=False, headers=False),
    "a body of a byte each half second": faults.drip(act=False),
    "an answer of a byte each half second": faults.drip(act=False, part="all"),
    "100 Continue for ever": _continue,
}


@pytest.mark.parametrize("fault", SLOW.values(), ids=SLOW)
def test_an_answer_that_comes_too_slowly_ends_in_time(fault: Fault, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(fault, times=None)
    assert_failed(step(STOP_RECORDING_TIMEOUT="1", real_time=True), 6, limit=1)


@pytest.mark.parametrize("what", ["headers, then silence", "silence", "a body of a byte each half second"])
def test_an_answer_that_comes_too_slowly_leaves_time_for_another_try(
    what: str, step: InProcess, sim: Simulator
) -> None:
    """Half of the time goes by with the first try, and up to a second with the wait for the next."""
    sim.faults.add(SLOW[what])
    ran = step(STOP_RECORDING_TIMEOUT="4", real_time=True)
    assert_stopped(ran, sim)
    assert ran.seconds < 4


def test_a_process_ends_in_time_whatever_hangs(process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.drip(0.3, part="all"), times=None)
    ran = process(STOP_RECORDING_TIMEOUT="1")
    assert_failed(ran, 6, limit=1)


# Status codes


@pytest.mark.parametrize("code", RETRIED_BELOW_500)
def test_a_code_that_may_pass_is_retried(code: int, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(code), on="stop", times=3)
    assert_stopped(step(), sim)
    assert sim.calls == [STOP] * 4


@pytest.mark.parametrize("code", [*RETRIED_BELOW_500, 500, 501, 502, 503, 504, 505, 520, 522, 599])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"status": 500, "body": {"error": "worn out"}}, id="json"),
        pytest.param("<html><body>worn out</body></html>", id="html"),
        pytest.param(None, id="empty"),
    ],
)
def test_a_code_that_never_passes_ends_unreachable(
    code: int, body: object, step: InProcess, sim: Simulator
) -> None:
    body = {"status": code, "body": {"error": "worn out"}} if isinstance(body, dict) else body
    sim.faults.add(faults.answer(code, body), times=None)
    words = ["worn out"] if isinstance(body, dict) else []
    assert_failed(step(STOP_RECORDING_TIMEOUT="20"), 6, f"HTTP {code}", *words)
    assert len(sim.calls) > 4


@pytest.mark.parametrize(
    "body", [{"status": 200, "body": {}}, "<html></html>", None], ids=["json", "html", "-"]
)
def test_every_5xx_is_retried(body: object, step: InProcess, sim: Simulator) -> None:
    for code in range(500, 600):
        sim.faults.add(faults.answer(code, body), on="stop")
    assert_stopped(step(STOP_RECORDING_TIMEOUT="86400"), sim)
    assert sim.calls.count(STOP) == 101


@pytest.mark.parametrize("code", [400, 402, 405, 406, 409, 410, 412, 413, 415, 418, 422, 424, 426, 451])
def test_any_other_4xx_is_final(code: int, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(code), times=None)
    assert_failed(step(), 5)
    assert step.clock.slept == []


def test_404_for_everything_is_no_such_run(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(404), times=None)
    assert_failed(step(), 4, "test_run_id", "cloud")
    assert step.clock.slept == []


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_token_is_final(code: int, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(code, {"status": code, "body": "User not authenticated"}), times=None)
    assert_failed(step(), 3, "User not authenticated", "cloud_region")
    assert sim.calls == [STOP]


# Redirects


@pytest.mark.parametrize("code", range(300, 309))
def test_a_redirect_is_never_followed(code: int, step: InProcess, sim: Simulator) -> None:
    with Simulator(token=TOKEN) as other:
        headers = {"Location": f"{other.url}/v1/test_run/5080/action/stop"}
        sim.faults.add(faults.answer(code, headers=headers), times=None)
        ran = step()
        assert other.connections == 0
    assert_failed(ran, 5)
    if code != 304:
        assert "redirect" in ran.errors[0]
    assert step.clock.slept == []


@pytest.mark.parametrize(
    "location",
    [
        "mailto:a@example.com",
        "http://[",
        "http://host:99999/",
        "//",
        "data:,x",
        "http:///x",
        "\xe9",
        "javascript:1",
    ],
)
def test_a_redirect_to_nowhere_is_a_redirect_all_the_same(
    location: str, step: InProcess, sim: Simulator
) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n{CLOSE}".encode("latin-1")
    sim.faults.add(faults.raw(answer), times=None)
    assert_failed(step(), 5, "redirect")
    assert step.clock.slept == []


# Retry-After


def test_retry_after_in_seconds_is_waited_for(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(429, headers={"Retry-After": "17"}), on="stop")
    assert_stopped(step(), sim)
    assert step.clock.slept == [17]


def test_retry_after_as_a_date_is_waited_for(step: InProcess, sim: Simulator) -> None:
    until = dt.datetime.fromtimestamp(step.clock.wall() + 40, dt.UTC)
    headers = {"Retry-After": format_datetime(until, usegmt=True)}
    sim.faults.add(faults.answer(503, headers=headers), on="stop")
    assert_stopped(step(), sim)
    assert 39 <= step.clock.slept[0] <= 40


@pytest.mark.parametrize(
    "value",
    ["Wed, 21 Oct 2015 07:28:00 GMT", "0", "soon", "", "-5", "1.5", "1e9", "Wed, 99 Oct 2035", "\xb2"],
)
def test_a_retry_after_that_is_past_or_makes_no_sense_leaves_it_at_the_backoff(
    value: str, step: InProcess, sim: Simulator
) -> None:
    answer = f"HTTP/1.1 429 Slow down\r\nRetry-After: {value}\r\n{CLOSE}".encode("latin-1")
    sim.faults.add(faults.raw(answer), on="stop")
    assert_stopped(step(), sim)
    assert 0.5 <= step.clock.slept[0] <= 1


@pytest.mark.parametrize("value", ["121", "86400", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_retry_after_beyond_the_deadline_fails_at_once_and_says_so(
    value: str, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(429, headers={"Retry-After": value}), times=None)
    ran = step()
    assert_failed(ran, 6, "Retry-After", "429")
    assert "inf" not in ran.errors[0]
    assert sim.calls == [STOP]
    assert step.clock.slept == []


# Answers that cannot be read


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_answer_is_retried(content: bytes, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(200, content), on="stop")
    assert_stopped(step(), sim)
    assert sim.calls == [STOP, "GET /v1/test_run/5080", STOP]


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_answer_for_ever_is_a_refusal(content: bytes, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(200, content), times=None)
    assert_failed(step(STOP_RECORDING_TIMEOUT="20"), 5, "cannot be read")
    assert len(sim.calls) > 4


SAYS_NOTHING = {
    "empty": b"",
    "null": b"null",
    "a list": b"[]",
    "a string": b'"ok"',
    "a number": b"1",
    "no body": b'{"status": 200}',
    "a body that is a list": b'{"status": 200, "body": [{"recording": false, "test_record_id": 1}]}',
    "a body that is a string": b'{"status": 200, "body": "ok"}',
}


@pytest.mark.parametrize("content", SAYS_NOTHING.values(), ids=SAYS_NOTHING)
def test_an_answer_that_says_nothing_is_followed_by_a_look(
    content: bytes, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(200, content, act=True), on="stop")
    assert_stopped(step(), sim)
    assert sim.calls == [STOP, "GET /v1/test_run/5080"]


@pytest.mark.parametrize("content", SAYS_NOTHING.values(), ids=SAYS_NOTHING)
def test_answers_that_say_nothing_for_ever_are_no_success(
    content: bytes, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(200, content), times=None)
    assert_failed(step(STOP_RECORDING_TIMEOUT="20"), 7, "is not a test run")


def test_a_stop_answered_with_no_content_is_followed_by_a_look(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(204, act=True), on="stop")
    assert_stopped(step(), sim)


# Sizes and compression


def _compressed(exchange: Exchange) -> None:
    status, payload = exchange.act()
    exchange.answer(status, gzip.compress(json.dumps(payload).encode()), {"Content-Encoding": "gzip"})


def _of_size(size: int) -> Fault:
    def fault(exchange: Exchange) -> None:
        status, payload = exchange.act()
        text = json.dumps(payload)
        exchange.answer(status, text + " " * (size - len(text)))

    return fault


def test_a_compressed_answer_is_read(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(_compressed, on="stop")
    assert_stopped(step(), sim)
    assert sim.calls == [STOP]


def test_an_answer_of_1_mib_is_read(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(_of_size(1 << 20), on="stop")
    assert_stopped(step(), sim)
    assert sim.calls == [STOP]


def test_an_answer_of_1_mib_and_a_byte_is_not(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(_of_size((1 << 20) + 1), times=None)
    assert_failed(step(), 5, "too long")


def test_a_gzip_bomb_is_not_read_to_its_end(sim: Simulator, tmp_path: Path) -> None:
    """Timed from outside, with the peak of the memory that the step took, imports included."""
    bomb = gzip.compress(b" " * 60_000_000, 1)
    sim.faults.add(faults.answer(200, bomb, {"Content-Encoding": "gzip"}), times=None)
    measured = (
        "import resource, subprocess, sys\n"
        "code = subprocess.call(sys.argv[1:])\n"
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    command = [sys.executable, "-c", measured, sys.executable, str(ROOT / "entrypoint.py")]
    env = {
        "WALLARM_API_TOKEN": TOKEN,
        "WALLARM_API_HOST": sim.url,
        "TEST_RUN_ID": "5080",
        "STOP_RECORDING_TIMEOUT": "2",
        "PATH": os.environ["PATH"],
    }
    ran = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True
    )
    exit_code, kilobytes = map(int, ran.stdout.splitlines()[-1].split())
    assert exit_code == 5
    assert len(sim.calls) >= 2
    assert kilobytes < 60_000
    assert_no_token(ran.stdout + ran.stderr)


# Errors in the envelope


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [(400, 5), (401, 3), (403, 3), (404, 4), (405, 5), (409, 5), (429, 6), (500, 6), (503, 6), (599, 6)],
)
@pytest.mark.parametrize("http", [200, 201, 500])
def test_an_envelope_status_of_400_or_more_counts_like_that_http_code(
    status: int, http: int, exit_code: int, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.envelope(status, {"error": "no way"}, http=http), times=None)
    ran = step(STOP_RECORDING_TIMEOUT="20")
    assert_failed(ran, exit_code, *([] if status == 405 else [f"HTTP {status}", "no way"]))


@pytest.mark.parametrize("status", [408, 423, 425, 429, 500, 503])
def test_an_envelope_status_that_may_pass_is_retried(status: int, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(status, None), on="stop")
    assert_stopped(step(), sim)


@pytest.mark.parametrize("http", [400, 403, 404, 409, 500])
def test_an_http_error_is_one_whatever_its_envelope_says(http: int, step: InProcess, sim: Simulator) -> None:
    good = {"recording": False, "test_record_id": 9058}
    sim.faults.add(faults.envelope(200, good, http=http), times=None)
    assert_failed(step(), {400: 5, 403: 3, 404: 4, 409: 5, 500: 6}[http])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("Already exists", "Already exists"),
        (["first", "second"], "first, second"),
        ({"error": "node not found", "value": 15049247}, "error: node not found, value: 15049247"),
        ({"id": {"error": "not_ready", "value": "rec_1"}}, "id: error: not_ready, value: rec_1"),
        ([[[[[[["deep"]]]]]]], "..."),
        (None, "HTTP 400"),
        (17, "17"),
        (False, "HTTP 400"),
        ("", "HTTP 400"),
        ("x" * 100_000, "x" * 100),
    ],
)
def test_the_words_of_an_error_are_told_whatever_their_form(
    body: object, said: str, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.envelope(400, body, http=400), times=None)
    ran = step()
    assert_failed(ran, 5, said)
    assert len(ran.errors[0]) < 500


# Many faults in a row


def test_one_step_survives_all_kinds_of_faults_in_a_row(step: InProcess, sim: Simulator) -> None:
    kinds: list[Fault] = [*BROKEN.values(), *(faults.answer(200, content) for content in UNREADABLE.values())]
    for fault in kinds:
        sim.faults.add(fault)
    assert_stopped(step(STOP_RECORDING_TIMEOUT="3600"), sim)


@pytest.mark.parametrize(
    "fault",
    [
        faults.reset_before(),
        faults.answer(503),
        faults.answer(200, b"no"),
        faults.answer(400),
        faults.answer(403),
    ],
    ids=["reset", "503", "unreadable", "400", "403"],
)
@pytest.mark.parametrize("platform", ["github", "gitlab"])
def test_every_platform_gets_one_error_line_and_all_outputs(
    fault: Fault, platform: str, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, times=None)
    ran = step(platform)
    assert ran.log.count("error: " if platform == "gitlab" else "::error ") == 1
    if platform == "github":
        (result,) = ran.results
        assert ran.errors[0] == f"test run 5080: {result['error']}"
        assert ran.outputs["status"] == STATUS[ran.exit_code]
        assert "| 5080 |" in ran.summary
    else:
        assert ran.variables["STOP_RECORDING_STATUS"] == STATUS[ran.exit_code]


def test_what_was_learnt_before_a_failure_is_written(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(503), on="POST", times=None)
    ran = step(STOP_RECORDING_QUIET_PERIOD="1")
    assert_failed(ran, 6)
    assert ran.variables == {
        "TEST_RECORD_ID": "9058",
        "TEST_RECORD_IDS": "9058",
        "STOP_RECORDING_STATUS": "unreachable",
        "TEST_RUN_STATE": "running",
        "BASELINE_COUNT": "5",
    }
