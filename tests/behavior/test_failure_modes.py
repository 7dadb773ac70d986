"""Every row of docs/failure-modes.md about the stop step is true: each is run, and each case has a row."""

import math
import re
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.certificates import Company
from tests.failure_modes import ROWS, Case, always, arrive, fault, kill, omit, rules, show
from tests.harness import LOOK, SOON, STOP, InProcess, Ran
from tests.tools.simulator import Simulator, faults

STATUSES = {
    "1": "internal_error",
    "2": "bad_input",
    "3": "token_refused",
    "4": "not_found",
    "5": "refused",
    "6": "unreachable",
    "7": "not_confirmed",
    "130": "interrupted",
    "143": "interrupted",
}
RETRIED = r"tried \d\d times"


def dead_address_first(step: InProcess, sim: Simulator, patch: pytest.MonkeyPatch) -> None:
    """Let localhost have two addresses, of which the first is dead."""
    find, addresses = socket.getaddrinfo, {"localhost": ["127.0.0.2", "127.0.0.1"]}

    def find_all(host: str, *args: Any, **kwargs: Any) -> list[Any]:  # noqa: ANN401 - as getaddrinfo
        return [found for name in addresses.get(host, [host]) for found in find(name, *args, **kwargs)]

    patch.setattr(socket, "getaddrinfo", find_all)


def trust_tls_inspection(step: InProcess, sim: Simulator, patch: pytest.MonkeyPatch) -> None:
    company = Company(step.directory)
    sim.tls, step.base["WALLARM_CA_CERT"] = company.tls, company.root.pem


def reject_handshakes(step: InProcess, sim: Simulator, patch: pytest.MonkeyPatch) -> None:
    sim.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # without a certificate


def write_to_github_output(step: InProcess, sim: Simulator, patch: pytest.MonkeyPatch) -> None:
    step.base["STOP_RECORDING_OUTPUT_FILE"] = f"../{step.github_output.name}"


API = "https://api.example"
PROXY = "http://user:word@{sim.host}"
HOUR = {"Retry-After": "3600"}
NOON = {"Retry-After": "Wed, 01 Jan 2020 12:00:00 GMT", "Date": "Wed, 01 Jan 2020 11:59:00 GMT"}
ON = {"recording": True, "test_record_id": 9058}
CASES = {
    "the response says that recording is off and names the record": Case(calls=[STOP]),
    "the response does not name the record": Case(rules(omit_in_stop={"test_record_id"}), calls=[STOP, LOOK]),
    "the record is never named": Case(
        omit("test_record_id"), says="off, but the API returned no test_record_id"
    ),
    "an accepted stop has no effect": Case(fault(faults.envelope(200, ON), "stop"), says="the stop again"),
    "recording is still on at the deadline": Case(rules(stop_delay=1000), says="still on", record="9058"),
    "the record is named, but no response contains `recording`": Case(omit("recording"), says="::warning::"),
    "recording was already off": Case(
        lambda step, sim, patch: sim.state.stop("5080"), always(faults.answer(400), "stop"), says="already"
    ),
    "the response to the stop is lost": Case(fault(faults.reset_after(), "stop"), calls=[STOP, LOOK]),
    "the API does not have the stop call": Case(rules(stop_call_unknown=404), says="by test record"),
    "the stop is accepted, but then the run cannot be fetched": Case(
        omit("test_record_id"), always(faults.answer(404), "GET"), says="at the deadline .*HTTP 404"
    ),
    "a fetched run has a `Retry-After` beyond the deadline": Case(
        fault(faults.reset_before(), "stop"),
        fault(faults.answer(503, headers=HOUR), "GET"),
        calls=[STOP, LOOK, STOP],
    ),
    "one of several runs fails": Case(test_run_id="nope,5080", says='"9058","recording":false'),
    "baselines still arrive during `quiet_period`": Case(arrive(20, over=30), quiet_period="5", says=":25,"),
    "too few baselines by then": Case(arrive(1, over=60), quiet_period="5", min_baselines="6", says=":6,"),
    "baselines never stop arriving": Case(arrive(1000, over=1000), quiet_period="5", says="late ones may be"),
    "`quiet_period` is too close to `timeout`": Case(quiet_period="118", says="after 115 s at the latest"),
    "the run cannot be fetched during `quiet_period`": Case(
        always(faults.answer(503), on="GET"), quiet_period="5", says="::warning::.*; waited 5 s instead"
    ),
    "the run is not found during `quiet_period`": Case(quiet_period="9", test_run_id="1", says="not found"),
    "no baselines were recorded": Case(show(baseline_count=0), says="::warning::.* cannot be copied"),
    "fewer than `min_baselines` were recorded": Case(min_baselines="6", calls=[STOP], says=r"fewer .*\(6\)"),
    "the same, and another run is not found": Case(test_run_id="5080,nope", min_baselines="6", record="9058"),
    "`min_baselines` is set, but no response contains `baseline_count`": Case(
        omit("baseline_count"), min_baselines="1", says="returned no baseline_count"
    ),
    "the token is refused (401, 403)": Case(token="another", calls=[STOP]),
    "there is no such test run": Case(test_run_id="5081"),
    "a 401 or 403 that is not JSON": Case(always(faults.answer(403, "<html>")), says="a CDN or a firewall"),
    "any other refusal (4xx)": Case(fault(faults.answer(400), "stop"), calls=[STOP, LOOK], record="9058"),
    "HTTP 200, but `status` is 400 or more": Case(fault(faults.envelope(400, "no"), "stop"), record="9058"),
    "408, 423, 425, 429 or 5xx, temporarily": Case(
        *(fault(faults.answer(c), "stop") for c in (408, 423, 425, 429, 500, 502, 503, 504, 522, 599))
    ),
    "408, 423, 425, 429 or 5xx until the deadline": Case(always(faults.answer(503)), says=RETRIED),
    "`Retry-After` is a date, and the clocks differ": Case(
        fault(faults.answer(429, headers=NOON)), says="retrying in 60.0 s"
    ),
    "`Retry-After` asks for more time than is left": Case(
        fault(faults.answer(429, headers=HOUR)), calls=[STOP], says="3600 s"
    ),
    "a redirect": Case(always(faults.answer(302, headers={"Location": "/x"})), calls=[STOP, LOOK]),
    "a web page in place of the API": Case(
        always(faults.answer(200, "<html>")), says="it responded with a web"
    ),
    "a response that is not JSON, damaged or over 1 MiB": Case(
        always(faults.answer(200, "no")), says=RETRIED
    ),
    "a response about another test run": Case(always(faults.envelope(200, {**ON, "id": 1})), says=RETRIED),
    "a malformed record id": Case(show(test_record_id="../../etc"), calls=[STOP]),
    "no connection, or an unknown host": Case(api_host="http://127.0.0.1:{closed_port}", says=RETRIED),
    "one of several addresses is dead": Case(dead_address_first, api_host="http://localhost:{sim_port}"),
    "no response, or one that is too slow": Case(always(faults.silence()), timeout="1", says="timed out"),
    "no response of any kind for 300 seconds": Case(
        always(faults.reset_before()), timeout="3600", seconds=300
    ),
    "an untrusted, expired or mismatched certificate": Case(api_host="{tls_sim.url}", says="is not trusted"),
    "certificates of TLS inspection, without `keyUsage` and key identifiers": Case(
        trust_tls_inspection, api_host="https://{sim.host}"
    ),
    "a port that does not speak TLS": Case(api_host="https://{sim.host}", says="{sim.host} does not speak"),
    "a server that rejects the TLS handshake for good": Case(
        reject_handshakes, api_host="https://{sim.host}", says="{sim.host}: it rejected the handshake"
    ),
    "a proxy that refuses the credentials (407)": Case(
        always(faults.answer(407)),
        api_host=API,
        HTTPS_PROXY=PROXY,
        says="proxy {sim.host}: the proxy refused the credentials",
    ),
    "a proxy that refuses the host (any 4xx but 408, 425, 429)": Case(
        always(faults.answer(403)),
        api_host=API,
        HTTPS_PROXY=PROXY,
        says="proxy {sim.host}: the proxy refused the connection",
    ),
    "a proxy that is busy (408, 425, 429 or 5xx)": Case(
        always(faults.answer(502)), api_host=API, HTTPS_PROXY=PROXY, says=RETRIED
    ),
    "a proxy with `https://` in its URL that does not speak TLS": Case(
        api_host=API,
        HTTPS_PROXY="https://{sim.host}",
        says="proxy {sim.host} does not speak",
    ),
    "a proxy, and an API at a plain `http://` address of this machine": Case(
        HTTP_PROXY="http://127.0.0.1:{closed_port}", calls=[STOP]
    ),
    "invalid inputs": Case(test_run_id="a/b", timeout="x", calls=[], says=r"::timeout(.|\n)*::test_run_id"),
    "a misspelled variable `STOP_RECORDING_...`": Case(STOP_RECORDING_TIMOUT="1", says="did you mean"),
    "the token is a variable that was not expanded, such as `$TOKEN`": Case(
        token="$TOKEN", calls=[], says="looks like a variable that was not expanded"
    ),
    "the token is in quotes, or is the path of a file": Case(token="'x'", calls=[], says="is in quotes"),
    "`cloud_region` is given, and `api_host` is of another cloud": Case(
        cloud_region="eu", says="::warning::cloud_region is ignored"
    ),
    "`REQUESTS_CA_BUNDLE` is set, and `ca_cert` is not": Case(
        REQUESTS_CA_BUNDLE="/ca.pem", says="::warning::REQUESTS_CA_BUNDLE is not used"
    ),
    "`SSL_CERT_FILE` names a file that does not exist": Case(
        SSL_CERT_FILE="/missing", says="::warning::SSL_CERT_FILE names '/missing', which does not exist"
    ),
    "the folder of the output file is missing, and its path is relative": Case(output_file="a/b/stop.env"),
    "the output file cannot be written": Case(output_file="/missing/file", calls=[]),
    "the output file is another output file, too": Case(
        write_to_github_output, calls=[], says="is also an output file; choose another path"
    ),
    "the file system is full at the end": Case(output_file="/dev/full", says="No space left", record="9058"),
    "stdout is closed, and outputs go there": Case(
        lambda step, sim, patch: patch.setattr(sys, "stdout", None),
        says="stdout cannot be written: it is closed",
        record="9058",
        GITHUB_ACTIONS="false",
        STOP_RECORDING_OUTPUT_FILE="stop.env",
    ),
    "the job summary cannot be written": Case(GITHUB_STEP_SUMMARY="/missing/file", says="::no job summary"),
    "SIGINT": Case(kill(signal.SIGINT), says="interrupted by SIGINT; recording may still be on"),
    "SIGTERM": Case(kill(signal.SIGTERM), says="interrupted by SIGTERM; recording may still be on"),
    "a bug": Case(
        lambda step, sim, patch: vars(step.clock).update(wall=None), always(faults.answer(503)), tracebacks=1
    ),
}


@pytest.fixture
def run_row(stop: InProcess, sim: Simulator, tls_sim: Simulator, closed_port: int) -> Callable[[str], Ran]:
    """Runs the case of a row, of which these things are true whatever its exit code."""

    def run(row: str) -> Ran:
        case, started = CASES[row], stop.clock.now
        words = {
            "sim": sim,
            "sim_port": sim.server_address[1],
            "tls_sim": tls_sim,
            "closed_port": closed_port,
        }
        env = {
            name if name.isupper() else f"INPUT_{name.upper()}": value.format(**words)
            for name, value in case.env.items()
        }
        sim.state.clock = stop.clock.monotonic
        with pytest.MonkeyPatch.context() as patch:
            for change in case.changes:
                change(stop, sim, patch)
            ran = stop("github", **env)
        assert re.search(case.says.format(**words), ran.log + ran.github_output)
        assert case.calls in (None, sim.calls)
        assert ran.log.count("| Traceback") == case.tracebacks
        assert stop.clock.now - started <= case.seconds
        assert ran.seconds < SOON
        return ran

    return run


@pytest.mark.parametrize("row", [row for row, _, code in ROWS if code == "0"])
def test_the_step_succeeds_where_the_page_says_so(
    row: str, run_row: Callable[[str], Ran], sim: Simulator
) -> None:
    ran = run_row(row)
    assert ran.exit_code == 0
    assert ran.status == "stopped"
    assert ran.record_id == "9058"
    assert ran.errors == []
    assert sim.state.find("5080").record.stopped_at < math.inf


@pytest.mark.parametrize("row", [row for row, _, code in ROWS if code == "8"])
def test_the_recording_is_off_where_the_page_says_that_there_are_too_few_baselines(
    row: str, run_row: Callable[[str], Ran], sim: Simulator
) -> None:
    ran = run_row(row)
    assert ran.exit_code == 8
    assert ran.status == "too_few_baselines"
    assert ran.record_id == "9058"
    assert ran.errors != []
    assert sim.state.find("5080").record.stopped_at < math.inf


@pytest.mark.parametrize(("row", "code"), [(row, code) for row, _, code in ROWS if code not in {"0", "8"}])
def test_the_step_fails_where_the_page_says_so(row: str, code: str, run_row: Callable[[str], Ran]) -> None:
    ran = run_row(row)
    assert ran.exit_code == int(code)
    assert ran.status == STATUSES[code]
    assert ran.record_id == CASES[row].record
    assert ran.errors != []


@pytest.mark.parametrize("row", [row for row, action, _ in ROWS if "fails at once" in action])
def test_the_step_fails_without_a_pause_where_the_page_says_at_once(
    row: str, run_row: Callable[[str], Ran], stop: InProcess
) -> None:
    run_row(row)
    assert stop.clock.slept == []


def test_every_case_has_a_row_on_the_page() -> None:
    assert sorted(CASES) == sorted(row for row, _, _ in ROWS)
