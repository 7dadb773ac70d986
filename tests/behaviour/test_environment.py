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
from tests.harness import PLATFORMS, ROOT, TOKEN, AsProcess, InProcess, Ran
from tests.tools.proxy import Proxy
from tests.tools.simulator import Simulator, faults

FILES = [("github", "GITHUB_OUTPUT"), *((name, "INPUT_OUTPUT_FILE") for name in PLATFORMS)]
TOO_LONG = "x" * 300
CANNOT_BE_OPENED = {"pipe": "it is a pipe", "missing/x": "No such file", "file/x": "Not a directory"}
CANNOT_BE_OPENED |= {TOO_LONG: "File name too long"}
short = "{:.20}".format  # names a case
STREAMS = ["github stdout", "gitlab stderr", "console stderr", "console stdout"]
FULL = "No space left on device"
BROKEN_STREAMS = [
    *((stream, reason, "5080") for stream in STREAMS for reason in ("Broken pipe", "it is closed", FULL)),
    *((stream, FULL, "1") for stream in ("github stdout", "console stdout")),
    *((stream, "stalled", "5080") for stream in ("github stdout", "console stderr", "console stdout")),
]
ODD_ENVIRONMENTS = {
    "none": {},
    "empty": dict.fromkeys("HOME PATH TMPDIR TZ LC_ALL".split(), ""),
    "missing": dict.fromkeys("HOME PATH TMPDIR TZ NETRC SSL_CERT_FILE SSL_CERT_DIR".split(), "/nonexistent"),
    "ascii": {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii", "REQUEST_METHOD": "GET", "HOME": "/dev/null"},
}
DIRECT = ["127.0.0.1", "[::1], 127.0.0.1", "*"]
THROUGH = ["fd00::/8", "[::1]", "fe80::/10", "a:b", "\xfc.example", "\x7f", "127.0.0.1:1"]


def told(ran: Ran) -> set[tuple[str, str]]:
    """Return the status and the record id that the outputs have, wherever they could be written."""
    places = [re.findall(r"(?m)^([A-Z_]+)=(.*)$", text) for text in (ran.stdout, ran.dotenv or "")]
    assert all(len(rows) == len(dict(rows)) for rows in places), "written twice"
    found = {(dict(rows)["STOP_RECORDING_STATUS"], dict(rows)["TEST_RECORD_ID"]) for rows in places if rows}
    return found | ({(ran.outputs["status"], ran.outputs["test_record_id"])} if ran.github_output else set())


@pytest.mark.parametrize("file", CANNOT_BE_OPENED, ids=short)
@pytest.mark.parametrize(("platform", "variable"), FILES)
def test_an_output_file_that_cannot_be_opened_is_bad_input_before_any_request(
    platform: str, variable: str, file: str, stop: InProcess, sim: Simulator
) -> None:
    (stop.directory / "file").touch()
    os.mkfifo(stop.directory / "pipe")
    # With a reader, so that a step that opened the pipe would not hang.
    reader = os.open(stop.directory / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    stop.base["STOP_RECORDING_OUTPUT_FILE"] = "x.env"
    ran = stop(platform, **{variable: file})
    os.close(reader)
    name = variable.replace("INPUT_OUTPUT_FILE", "output_file (STOP_RECORDING_OUTPUT_FILE)")
    (error,) = ran.errors
    assert error.startswith(f"{name}: '{file[:40]}")
    assert f" cannot be written: {CANNOT_BE_OPENED[file]}" in error
    assert (ran.exit_code, sim.calls) == (2, [])
    assert told(ran) == ({("bad_input", "")} if platform != "gitlab" else set())


@pytest.mark.parametrize("setting", ["TEST_RUN_ID=5080", "INPUT_MIN_BASELINES=9", "TEST_RUN_ID=1"])
@pytest.mark.parametrize(("platform", "variable"), FILES)
def test_a_disk_that_is_full_at_the_end_fails_the_step_and_whatever_can_be_written_says_so(
    platform: str, variable: str, setting: str, stop: InProcess
) -> None:
    stop.base |= {"STOP_RECORDING_OUTPUT_FILE": "x.env", **dict([setting.split("=")])}
    ran = stop(platform, **{variable: "/dev/full"})
    found = setting != "TEST_RUN_ID=1"
    assert ran.exit_code == (2 if found else 4)
    outputs = ("bad_input", "9058") if found else ("not_found", "")
    assert told(ran) == ({outputs} if platform != "gitlab" else set())
    assert ran.errors[-1] == f"the file '/dev/full' cannot be written: {FULL}"
    assert len(ran.errors) == (1 if setting == "TEST_RUN_ID=5080" else 2)
    if platform == "github":
        assert ran.summary.count("###") == 1
        assert ran.summary.startswith(f"### Wallarm FAST: {'Output not written' if found else 'No such'}")
        assert ("| 9058 |" in ran.summary) is found


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


@pytest.mark.parametrize(("stream", "reason", "test_run"), BROKEN_STREAMS)
def test_a_stream_that_cannot_be_written_keeps_no_recording_on_and_costs_only_what_is_printed_there(
    stream: str, reason: str, test_run: str, stop_process: AsProcess, sim: Simulator
) -> None:
    platform, name = stream.split()
    ends = broken_stream(reason)
    stop_process.popen[name] = ends[-1]
    if reason == "it is closed":
        stop_process.popen["preexec_fn"] = lambda: os.close(1 if name == "stdout" else 2)
    ran = stop_process(platform, TEST_RUN_ID=test_run, STOP_RECORDING_OUTPUT_FILE="x.env")
    for end in ends:
        os.close(end)
    assert sim.state.get("5080")["recording"] is (test_run == "1")
    outputs_fail = stream == "console stdout"
    exit_code = 4 if test_run == "1" else 2 if outputs_fail else 0
    status = {0: "stopped", 2: "bad_input", 4: "not_found"}[exit_code]
    assert (ran.exit_code, told(ran)) == (exit_code, {(status, "9058" if test_run == "5080" else "")})
    if outputs_fail:
        problem = "nobody reads it" if reason == "stalled" else reason
        assert ran.errors[test_run == "1" :] == [f"stdout cannot be written: {problem}"]
        assert "Traceback" not in ran.stderr
    else:  # nothing lands on the other stream but what belongs there
        assert re.fullmatch("([A-Z_]+=.*\n){5}" if platform == "console" else "", ran.log)


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
    stop.base |= {"WALLARM_API_HOST": tls_sim.url, "STOP_RECORDING_CA_CERT": ca_pem}
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


@pytest.mark.parametrize("setting", ["HTTP_PROXY=http://", "http_proxy=", "ALL_PROXY=http://me:geheim@"])
def test_http_goes_through_the_proxy_whose_password_is_not_shown(
    setting: str, stop: InProcess, proxy: Proxy, sim: Simulator
) -> None:
    variable, start = setting.split("=")
    stop.base |= {variable: start + proxy.url.removeprefix("http://"), "HTTPS_PROXY": "http://x.invalid"}
    ran = stop("github", RUNNER_DEBUG="1")
    assert_stopped(ran, sim)
    assert proxy.asked == [f"POST {sim.url}/v1/test_run/5080/action/stop"]
    assert (b"Basic bWU6Z2VoZWlt" in proxy.seen) == ("geheim" in setting)
    assert "geheim" not in ran.log


@pytest.mark.parametrize("no_proxy", [*DIRECT, *THROUGH], ids=ascii)
def test_no_entry_of_no_proxy_is_an_error_and_one_that_means_the_host_makes_the_connection_direct(
    no_proxy: str, stop: InProcess, proxy: Proxy, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {"NO_PROXY": no_proxy, "HTTP_PROXY": proxy.url}.items():
        monkeypatch.setenv(variable, value)  # where libraries would look
        stop.base[variable] = value
        assert_stopped(stop("github"), sim)
    assert len(proxy.asked) == (0 if no_proxy in DIRECT else 1)


@pytest.mark.parametrize("ca_cert", ["file", "text", "another", ""])
def test_the_certificates_of_ca_cert_and_of_the_system_are_trusted(
    ca_cert: str, stop: InProcess, tls_sim: Simulator, ca_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stop.directory / "ca.pem").write_text(ca_pem)
    another = trustme.CA().cert_pem.bytes().decode()
    if ca_cert in ("another", ""):
        monkeypatch.setenv("SSL_CERT_FILE", str(stop.directory / "ca.pem"))
    value = {"file": "ca.pem", "text": ca_pem, "another": another, "": ""}[ca_cert]
    assert_stopped(stop(WALLARM_API_HOST=tls_sim.host, STOP_RECORDING_CA_CERT=value), tls_sim)


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
        assert_stopped(stop(WALLARM_API_HOST=host, STOP_RECORDING_CA_CERT=ca_pem), sim)


def test_the_path_of_a_base_url_is_kept(stop: InProcess, sim: Simulator) -> None:
    stop(WALLARM_API_HOST=f"{sim.url}/gateway/")
    assert sim.calls[0] == "POST /gateway/v1/test_run/5080/action/stop"
