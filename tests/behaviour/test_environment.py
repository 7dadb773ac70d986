"""Wherever the step runs: files and streams that fail, odd environments, proxies, certificates, addresses."""

import os
import re
import select
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.assertions import assert_stopped
from tests.harness import ROOT, TOKEN, AsProcess, InProcess, Ran
from tests.tools.proxy import Proxy
from tests.tools.simulator import Simulator, faults

# Each file for outputs that a platform has, but for GitLab's, which has no other place for them.
FILES = [("github", "GITHUB_OUTPUT"), ("github", "INPUT_OUTPUT_FILE"), ("console", "INPUT_OUTPUT_FILE")]
LABELS = {
    "GITHUB_OUTPUT": "GITHUB_OUTPUT",
    "INPUT_OUTPUT_FILE": "output_file (STOP_RECORDING_OUTPUT_FILE)",
}
TOO_LONG = "x" * 300
CANNOT_BE_OPENED = {"pipe": "it is a pipe", "/missing/x": "No such file", "file/x": "Not a directory"}
CANNOT_BE_OPENED |= {TOO_LONG: "File name too long"}
short = "{:.20}".format  # names a case
FULL = "No space left on device"
REASONS = ["Broken pipe", "it is closed", FULL]
# The streams of the log, and what is on the other one.
LOGS = {"github stdout": "", "gitlab stderr": "", "console stderr": "([A-Z_]+=.*\n){5}"}
ODD_ENVIRONMENTS = {
    "none": {},
    "empty": dict.fromkeys("HOME PATH TMPDIR TZ LC_ALL".split(), ""),
    "missing": dict.fromkeys("HOME PATH TMPDIR TZ NETRC SSL_CERT_FILE SSL_CERT_DIR".split(), "/nonexistent"),
    "ascii": {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii", "REQUEST_METHOD": "GET", "HOME": "/dev/null"},
}


def told(ran: Ran) -> set[tuple[str, str]]:
    """Return the status and the record id that the outputs have, wherever they could be written."""
    places = [re.findall(r"(?m)^([A-Z_]+)=(.*)$", text) for text in (ran.stdout, ran.dotenv or "")]
    assert all(len(rows) == len(dict(rows)) for rows in places), "written twice"
    found = {(dict(rows)["STOP_RECORDING_STATUS"], dict(rows)["TEST_RECORD_ID"]) for rows in places if rows}
    return found | ({(ran.outputs["status"], ran.outputs["test_record_id"])} if ran.github_output else set())


def assert_bad_file(stop: InProcess, platform: str, variable: str, file: str) -> Ran:
    """Run the step with a file that cannot be opened; fail unless its error says so."""
    (stop.directory / "file").touch()
    os.mkfifo(stop.directory / "pipe")
    # With a reader, so that a step that opened the pipe would not hang.
    reader = os.open(stop.directory / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    stop.base["STOP_RECORDING_OUTPUT_FILE"] = "x.env"
    ran = stop(platform, **{variable: file})
    os.close(reader)
    assert ran.exit_code == 2
    (error,) = ran.errors
    assert error.startswith(f"{LABELS[variable]}: '{file[:40]}")
    assert f" cannot be written: {CANNOT_BE_OPENED[file]}" in error
    return ran


@pytest.mark.parametrize("file", CANNOT_BE_OPENED, ids=short)
@pytest.mark.parametrize(("platform", "variable"), FILES)
def test_an_output_file_that_cannot_be_opened_is_bad_input_before_any_request(
    platform: str, variable: str, file: str, stop: InProcess, sim: Simulator
) -> None:
    ran = assert_bad_file(stop, platform, variable, file)
    assert sim.calls == []
    assert told(ran) == {("bad_input", "")}


@pytest.mark.parametrize("file", CANNOT_BE_OPENED, ids=short)
def test_a_dotenv_report_that_cannot_be_opened_is_bad_input_before_any_request(
    file: str, stop: InProcess, sim: Simulator
) -> None:
    ran = assert_bad_file(stop, "gitlab", "INPUT_OUTPUT_FILE", file)
    assert sim.calls == []
    assert told(ran) == set()


SETTINGS = [  # a variable, the exit code, the status and the record of the outputs, the number of errors
    ("TEST_RUN_ID=5080", 2, ("bad_input", "9058"), 1),
    ("INPUT_MIN_BASELINES=9", 2, ("bad_input", "9058"), 2),
    ("TEST_RUN_ID=1", 4, ("not_found", ""), 2),
]


def fill_disk(stop: InProcess, platform: str, variable: str, setting: str) -> Ran:
    """Run the step with a file that cannot be written at the end; fail unless its last error says so."""
    stop.base |= {"STOP_RECORDING_OUTPUT_FILE": "x.env", **dict([setting.split("=")])}
    ran = stop(platform, **{variable: "/dev/full"})
    assert ran.errors[-1] == f"the file '/dev/full' cannot be written: {FULL}"
    return ran


@pytest.mark.parametrize(("setting", "exit_code", "outputs", "errors"), SETTINGS)
@pytest.mark.parametrize(("platform", "variable"), FILES)
def test_a_disk_that_is_full_at_the_end_fails_the_step_and_whatever_can_be_written_says_so(  # noqa: PLR0913, PLR0917 - columns
    platform: str, variable: str, setting: str, exit_code: int, outputs: tuple[str, str], errors: int,
    stop: InProcess,
) -> None:  # fmt: skip
    ran = fill_disk(stop, platform, variable, setting)
    assert ran.exit_code == exit_code
    assert len(ran.errors) == errors
    assert told(ran) == {outputs}


@pytest.mark.parametrize(("setting", "exit_code", "errors"), [(row[0], row[1], row[3]) for row in SETTINGS])
def test_a_disk_that_is_full_at_the_end_fails_the_step_on_gitlab(
    setting: str, exit_code: int, errors: int, stop: InProcess
) -> None:
    ran = fill_disk(stop, "gitlab", "INPUT_OUTPUT_FILE", setting)
    assert ran.exit_code == exit_code
    assert len(ran.errors) == errors
    assert told(ran) == set()


@pytest.mark.parametrize("setting", ["TEST_RUN_ID=5080", "INPUT_MIN_BASELINES=9"])
@pytest.mark.parametrize("variable", ["GITHUB_OUTPUT", "INPUT_OUTPUT_FILE"])
def test_the_summary_says_that_the_disk_was_full_and_names_the_record(
    variable: str, setting: str, stop: InProcess
) -> None:
    ran = fill_disk(stop, "github", variable, setting)
    assert ran.summary.startswith("### Wallarm FAST: Output not written")
    assert ran.summary.count("###") == 1
    assert "| 9058 |" in ran.summary


@pytest.mark.parametrize("variable", ["GITHUB_OUTPUT", "INPUT_OUTPUT_FILE"])
def test_the_summary_says_why_the_stop_failed_even_if_the_disk_was_full(
    variable: str, stop: InProcess
) -> None:
    ran = fill_disk(stop, "github", variable, "TEST_RUN_ID=1")
    assert ran.summary.startswith("### Wallarm FAST: Test run not found")
    assert ran.summary.count("###") == 1
    assert "| 9058 |" not in ran.summary


@pytest.mark.parametrize("file", ["pipe", TOO_LONG, "/dev/full"], ids=short)
def test_a_summary_that_cannot_be_written_is_a_warning(file: str, stop: InProcess, sim: Simulator) -> None:
    os.mkfifo(stop.directory / "pipe")
    ran = stop("github", GITHUB_STEP_SUMMARY=file)
    assert_stopped(ran, sim)
    assert f"\n::warning::no job summary: the file '{file}' cannot be written: " in ran.stdout


def broken_stream(reason: str) -> tuple[int, ...]:
    """Return the ends of a stream, the last of which cannot be written for this reason."""
    if reason == FULL:
        return (os.open("/dev/full", os.O_WRONLY),)
    reader, writer = os.pipe()
    if reason == "Broken pipe":
        os.close(reader)
        return (writer,)
    while select.select([], [writer], [], 0)[1]:
        os.write(writer, b"x" * 4096)
    return reader, writer


def run_with_broken(stream: str, reason: str, stop_process: AsProcess, test_run: str) -> Ran:
    """Run the step with a stream of a platform that cannot be written for this reason."""
    platform, name = stream.split()
    ends = broken_stream(reason)
    stop_process.popen[name] = ends[-1]
    if reason == "it is closed":
        stop_process.popen["preexec_fn"] = lambda: os.close({"stdout": 1, "stderr": 2}[name])
    ran = stop_process(platform, TEST_RUN_ID=test_run, STOP_RECORDING_OUTPUT_FILE="x.env")
    for end in ends:
        os.close(end)
    return ran


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        *((stream, reason) for stream in LOGS for reason in REASONS),
        ("github stdout", "stalled"),
        ("console stderr", "stalled"),
    ],
)
def test_a_log_that_cannot_be_written_costs_only_what_is_printed_there(
    stream: str, reason: str, stop_process: AsProcess, sim: Simulator
) -> None:
    """And nothing lands on the other stream but what belongs there."""
    ran = run_with_broken(stream, reason, stop_process, "5080")
    assert ran.exit_code == 0
    assert sim.state.get("5080")["recording"] is False
    assert told(ran) == {("stopped", "9058")}
    assert re.fullmatch(LOGS[stream], ran.log)


def test_a_log_that_cannot_be_written_does_not_hide_the_error(
    stop_process: AsProcess, sim: Simulator
) -> None:
    ran = run_with_broken("github stdout", FULL, stop_process, "1")
    assert ran.exit_code == 4
    assert sim.state.get("5080")["recording"] is True
    assert told(ran) == {("not_found", "")}
    assert ran.log == ""


@pytest.mark.parametrize(
    ("reason", "problem"), [*((reason, reason) for reason in REASONS), ("stalled", "nobody reads it")]
)
def test_outputs_that_cannot_be_printed_fail_the_step_but_keep_no_recording_on(
    reason: str, problem: str, stop_process: AsProcess, sim: Simulator
) -> None:
    ran = run_with_broken("console stdout", reason, stop_process, "5080")
    assert ran.exit_code == 2
    assert sim.state.get("5080")["recording"] is False
    assert told(ran) == {("bad_input", "9058")}
    assert ran.errors == [f"stdout cannot be written: {problem}"]
    assert "Traceback" not in ran.stderr


def test_outputs_that_cannot_be_printed_do_not_hide_an_error_of_the_run(
    stop_process: AsProcess, sim: Simulator
) -> None:
    ran = run_with_broken("console stdout", FULL, stop_process, "1")
    assert ran.exit_code == 4
    assert sim.state.get("5080")["recording"] is True
    assert told(ran) == {("not_found", "")}
    missing, problem = ran.errors
    assert "test run not found" in missing
    assert problem == f"stdout cannot be written: {FULL}"
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("env", ODD_ENVIRONMENTS.values(), ids=ODD_ENVIRONMENTS)
def test_no_variables_but_the_inputs_matter_and_no_file_appears(
    env: dict[str, str], stop_process: AsProcess, sim: Simulator
) -> None:
    assert_stopped(stop_process(**env), sim)
    assert list(stop_process.directory.iterdir()) == []


def test_any_language_is_printed_in_the_c_locale(stop_process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(400, "нет — いいえ", http=400))
    ran = stop_process("github", LC_ALL="C", LANG="C")
    assert ran.exit_code == 5
    assert "нет — いいえ" in ran.errors[0]


def test_nothing_is_imported_from_the_workspace(
    stop_process: AsProcess, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started as the image starts it, in a directory and with variables that the job controls."""
    venv, start = tmp_path / "venv", tmp_path / "start"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(next(path for path in sys.path if path.endswith("site-packages")))
    (site / "wallarm_fast").symlink_to(ROOT / "wallarm_fast")
    for name in "httpx json sitecustomize usercustomize wallarm_fast yaml".split():
        (stop_process.directory / f"{name}.py").write_text("raise SystemExit('imported')\n")
    start.write_text(f'#!/bin/sh\nexec {venv}/bin/python -I "$@"\n')
    start.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(start))
    env = dict.fromkeys("PYTHONPATH PYTHONUSERBASE PYTHONHOME HOME".split(), str(stop_process.directory))
    env |= {
        "PYTHONSTARTUP": f"{stop_process.directory}/httpx.py",
        "PYTHONINSPECT": "1",
        "PYTHONWARNINGS": "error",
    }
    assert_stopped(stop_process(**env), sim)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        yield running


@pytest.fixture
def tls(stop: InProcess, tls_sim: Simulator, ca_pem: str) -> Simulator:
    """`tls_sim`, which `stop` now goes to."""
    stop.base |= {"WALLARM_API_HOST": tls_sim.url, "WALLARM_CA_CERT": ca_pem}
    return tls_sim


@pytest.mark.parametrize("setting", ["HTTPS_PROXY=http", "https_proxy=", "ALL_PROXY=https", "all_proxy="])
def test_https_goes_through_the_proxy_which_never_sees_the_token(
    setting: str, stop: InProcess, proxy: Proxy, tls: Simulator, server_tls: ssl.SSLContext
) -> None:
    """Each request has a tunnel of its own. A proxy that speaks TLS has a certificate of ca_cert."""
    variable, scheme = setting.split("=")
    proxy.tls = server_tls if scheme == "https" else None
    stop.base |= {variable: proxy.url.replace("http", scheme).removeprefix("://")}
    tls.state.create_run("second")
    tls.faults.add(faults.reset_after(), on="stop", run=5081)
    ran = stop("github", TEST_RUN_ID="5080 5081", HTTP_PROXY="http://x.invalid")
    assert ran.exit_code == 0
    assert [result["already_stopped"] for result in ran.results] == [False, True]
    assert proxy.asked == 3 * [f"CONNECT {tls.host}"]
    assert len(proxy.seen) > 500  # the whole tunnel was watched
    assert TOKEN.encode() not in proxy.seen
    assert b"test_run" not in proxy.seen


@pytest.mark.parametrize("setting", ["HTTP_PROXY=http://", "http_proxy="])
def test_http_goes_through_the_proxy_which_resolves_the_name(
    setting: str, stop: InProcess, proxy: Proxy, sim: Simulator
) -> None:
    variable, start = setting.split("=")
    proxy.route_to = sim.host
    stop.base |= {"WALLARM_API_HOST": "http://api.example", "WALLARM_API_USE_SSL": "false"}
    stop.base |= {variable: start + proxy.url.removeprefix("http://"), "HTTPS_PROXY": "http://x.invalid"}
    assert_stopped(stop("github"), sim)
    assert proxy.asked == ["POST http://api.example/v1/test_run/5080/action/stop"]
    assert b"Basic" not in proxy.seen


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST"])
def test_plain_http_to_this_machine_is_direct_whatever_the_proxy(
    host: str, stop: InProcess, proxy: Proxy, sim: Simulator
) -> None:
    url = sim.url.replace("127.0.0.1", host)
    assert_stopped(stop(WALLARM_API_HOST=url, HTTP_PROXY=proxy.url, ALL_PROXY=proxy.url), sim)
    assert proxy.asked == []


def test_the_proxy_gets_its_password_which_is_not_shown(
    stop: InProcess, proxy: Proxy, tls: Simulator
) -> None:
    address = proxy.url.replace("http://", "http://me:geheim@")
    ran = stop("github", ALL_PROXY=address, HTTP_PROXY="http://x.invalid", RUNNER_DEBUG="1")
    assert_stopped(ran, tls)
    assert proxy.asked == [f"CONNECT {tls.host}"]
    assert b"Basic bWU6Z2VoZWlt" in proxy.seen
    assert "geheim" not in ran.log


def stop_with_no_proxy(
    no_proxy: str, stop: InProcess, proxy: Proxy, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the step against 0.0.0.0 twice: with NO_PROXY alone, and with a proxy, too."""
    stop.base |= {
        "WALLARM_API_HOST": sim.url.replace("127.0.0.1", "0.0.0.0"),
        "WALLARM_API_USE_SSL": "false",
    }
    for variable, value in {"NO_PROXY": no_proxy, "HTTP_PROXY": proxy.url}.items():
        monkeypatch.setenv(variable, value)  # where libraries would look
        stop.base[variable] = value
        assert_stopped(stop("github"), sim)


@pytest.mark.parametrize("no_proxy", ["0.0.0.0", "[::1], 0.0.0.0/8", "*"])
def test_an_entry_of_no_proxy_that_means_the_host_makes_the_connection_direct(
    no_proxy: str, stop: InProcess, proxy: Proxy, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_with_no_proxy(no_proxy, stop, proxy, sim, monkeypatch)
    assert proxy.asked == []


@pytest.mark.parametrize(
    "no_proxy",
    ["fd00::/8", "[::1]", "fe80::/10", "a:b", "\xfc.example", "\x7f", "0.0.0.0:1"],
    ids=ascii,
)
def test_any_other_entry_of_no_proxy_changes_nothing_and_is_no_error(
    no_proxy: str, stop: InProcess, proxy: Proxy, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_with_no_proxy(no_proxy, stop, proxy, sim, monkeypatch)
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("ca_cert", ["file", "text", "another", ""])
def test_the_certificates_of_ca_cert_and_of_the_system_are_trusted(
    ca_cert: str, stop: InProcess, tls_sim: Simulator, ca_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stop.directory / "ca.pem").write_text(ca_pem)
    another = trustme.CA().cert_pem.bytes().decode()
    if ca_cert in ("another", ""):
        monkeypatch.setenv("SSL_CERT_FILE", str(stop.directory / "ca.pem"))
    value = {"file": "ca.pem", "text": ca_pem, "another": another, "": ""}[ca_cert]
    assert_stopped(stop(WALLARM_API_HOST=tls_sim.host, WALLARM_CA_CERT=value), tls_sim)


@pytest.mark.parametrize("url", ["http://[::1]:{}", "[::1]:{}", "https://[0:0:0:0:0:0:0:1]:{}/"])
def test_an_ipv6_literal_is_a_host(
    url: str, stop: InProcess, server_tls: ssl.SSLContext, ca_pem: str
) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    tls = None if url.startswith("http:") else server_tls
    with Simulator(token=TOKEN, baselines=5, host="::1", tls=tls) as sim:
        sim.state.create_run("first")
        host = url.format(sim.host.rpartition(":")[2])
        assert_stopped(stop(WALLARM_API_HOST=host, WALLARM_CA_CERT=ca_pem), sim)


def test_the_path_of_a_base_url_is_kept(stop: InProcess, sim: Simulator) -> None:
    stop(WALLARM_API_HOST=f"{sim.url}/gateway/")
    assert sim.calls[0] == "POST /gateway/v1/test_run/5080/action/stop"
