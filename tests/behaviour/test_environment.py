"""Wherever the step runs: files and streams that fail, odd environments, proxies, certificates, addresses."""

import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.conftest import PLATFORMS, ROOT, TOKEN, AsProcess, InProcess, Ran, assert_stopped
from tests.tools.proxy import Proxy
from tests.tools.simulator import Simulator, faults

RunWith = Callable[..., Ran]
FILES = [("github", "GITHUB_OUTPUT"), *((name, "STOP_RECORDING_OUTPUT_FILE") for name in PLATFORMS)]
ODD_ENVIRONMENTS = [
    *[{}, dict.fromkeys("HOME PATH TMPDIR TZ LC_ALL".split(), "")],
    dict.fromkeys("HOME PATH TMPDIR TZ NETRC SSL_CERT_FILE SSL_CERT_DIR".split(), "/nonexistent"),
    {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii", "REQUEST_METHOD": "GET", "HOME": "/dev/null"},
]
DIRECT = ["127.0.0.1", "localhost,127.0.0.1", "*", "a.example, 127.0.0.1 ", "x,*"]
THROUGH = ["", " , ,", "a.example", ".a", "*.a", "10.0.0.0/8", "::1", "http://x"]
DOWN = [f"{scheme}_PROXY=http://me:geheim@127.0.0.1:{{}}" for scheme in ("HTTP", "HTTPS")]
NOWHERE = [f"HTTP_PROXY=http://{host}" for host in ("[", "a b:1", "proxy.invalid")]
NOT_PROXIES = [f"HTTP_PROXY={url}" for url in ("ftp://proxy:3128", "socks5://proxy:1", "://", "http://\x7f")]
NOT_PROXIES += ["ALL_PROXY=ftp://proxy:1", "NO_PROXY=[::1]", "NO_PROXY=host:x", "NO_PROXY=\x7f"]


def test_a_pipe_is_bad_input_for_outputs_and_a_warning_for_the_summary(
    step: InProcess, sim: Simulator
) -> None:
    os.mkfifo(step.directory / "pipe")
    # With a reader, so that a step that opened the pipe would not hang.
    reader = os.open(step.directory / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    for platform, variable in FILES:
        ran = step(platform, real_time=False, **{variable: "pipe"})
        assert (ran.exit_code, sim.calls, len(ran.errors)) == (2, [], 1)
        assert re.match(f"({variable}|output_file): 'pipe' cannot be written: it is a pipe", ran.errors[0])
    ran = step("github", GITHUB_STEP_SUMMARY="pipe")
    assert_stopped(ran, sim)
    assert "\n::warning::no job summary: 'pipe' cannot be written: it is a pipe" in ran.stdout
    os.close(reader)


@pytest.mark.parametrize("test_run", ["5080", "1"])
@pytest.mark.parametrize(("platform", "variable"), FILES)
def test_a_full_disk_costs_only_the_outputs_on_it_and_no_failure_its_exit_code(
    platform: str, variable: str, test_run: str, step: InProcess, sim: Simulator
) -> None:
    env = {"STOP_RECORDING_OUTPUT_FILE": "x.env", variable: "/dev/full", "TEST_RUN_ID": test_run}
    ran = step(platform, real_time=False, **env)
    exit_code, record = (2, "9058") if test_run == "5080" else (4, "")
    problem = "outputs: '/dev/full' cannot be written: No space left on device"
    assert (ran.exit_code, ran.log.count(problem), len(ran.errors)) == (exit_code, 1, 1)
    assert (problem in ran.errors) == ("test record 9058" in ran.log) == (exit_code == 2)
    assert sim.state.get("5080")["recording"] is (test_run == "1")
    if platform == "console" or variable == "GITHUB_OUTPUT":
        assert ran.variables["TEST_RECORD_ID"] == record
    if platform == "github":
        assert ("| 9058 |" in ran.summary) == bool(record)
        assert ran.outputs.get("test_record_id") == (record if variable != "GITHUB_OUTPUT" else None)


@pytest.mark.parametrize("test_run", ["5080", "1"])
@pytest.mark.parametrize("reason", ["Broken pipe", "No space left on device"])
@pytest.mark.parametrize("broken", ["github stdout", "gitlab stderr", "console stderr", "console stdout"])
def test_a_stream_that_nobody_reads_keeps_no_recording_on_and_costs_only_the_outputs_on_it(
    broken: str, reason: str, test_run: str, process: AsProcess, sim: Simulator
) -> None:
    platform, name = broken.split()
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone, Path("/dev/full").open("wb") as full:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        streams[name] = (gone if reason == "Broken pipe" else full).fileno()
        ran = subprocess.run(
            [sys.executable, str(ROOT / "entrypoint.py")],
            env=process.environ(platform, {"TEST_RUN_ID": test_run}),
            cwd=process.directory,
            stdout=streams["stdout"],
            stderr=streams["stderr"],
            text=True,
            check=False,
        )
    assert "Traceback" not in f"{ran.stdout}{ran.stderr}"
    failed = broken == "console stdout"
    assert ran.returncode == (4 if test_run == "1" else 2 if failed else 0)
    assert sim.state.get("5080")["recording"] is (test_run == "1")
    if failed:
        assert len(re.findall("(?m)^error: ", ran.stderr)) == 1
        assert ran.stderr.count(f"outputs: stdout cannot be written: {reason}") == 1
    else:
        files = {"github": process.github_output, "gitlab": process.directory / "stop-recording.env"}
        outputs = files[platform].read_text() if platform in files else ran.stdout
        assert re.search(r"[=\n]not_found\n" if test_run == "1" else r"[=\n]9058\n", outputs)


@pytest.mark.parametrize("env", ODD_ENVIRONMENTS, ids=str)
def test_no_variables_but_the_inputs_matter_and_no_file_appears(
    env: dict[str, str], process: AsProcess, sim: Simulator
) -> None:
    assert_stopped(process("console", limit=60, **env), sim)
    assert list(process.directory.iterdir()) == []


def test_any_language_is_printed_in_the_c_locale(process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(400, "нет — いいえ", http=400))
    ran = process("github", LC_ALL="C", LANG="C")
    assert ran.exit_code == 5
    assert "нет — いいえ" in ran.errors[0]


def test_nothing_is_imported_from_the_workspace(
    process: AsProcess, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started as the image starts it, in a directory and with variables that the job controls."""
    venv, start = tmp_path / "venv", tmp_path / "start"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(next(path for path in sys.path if path.endswith("site-packages")))
    (site / "wallarm_fast").symlink_to(ROOT / "wallarm_fast")
    for name in "httpx json sitecustomize usercustomize wallarm_fast yaml".split():
        (process.directory / f"{name}.py").write_text("raise SystemExit('imported')\n")
    start.write_text(f'#!/bin/sh\nexec {venv}/bin/python -I "$@"\n')
    start.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(start))
    env = dict.fromkeys("PYTHONPATH PYTHONUSERBASE PYTHONHOME HOME".split(), str(process.directory))
    env |= {"PYTHONSTARTUP": f"{process.directory}/httpx.py", "PYTHONINSPECT": "1", "PYTHONWARNINGS": "error"}
    assert_stopped(process("console", limit=60, **env), sim)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        yield running


@pytest.fixture
def run_with(step: InProcess, monkeypatch: pytest.MonkeyPatch) -> RunWith:
    """Runs the step with variables that this process, too, has in its environment, where libraries look."""

    def run(**env: str) -> Ran:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        return step("github", real_time=False, RUNNER_DEBUG="1", **env)

    return run


@pytest.fixture
def tls(tls_sim: Simulator, ca_pem: str) -> dict[str, str]:
    """The inputs that lead to `tls_sim`."""
    return {"WALLARM_API_HOST": tls_sim.url, "STOP_RECORDING_CA_CERT": ca_pem}


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_https_goes_through_the_proxy_which_never_sees_the_token(
    variable: str, run_with: RunWith, tls: dict[str, str], proxy: Proxy, tls_sim: Simulator
) -> None:
    assert_stopped(run_with(**{variable: proxy.url}, **tls), tls_sim)
    assert proxy.asked == [f"CONNECT {tls_sim.host}"]
    assert len(proxy.seen) > 500  # the whole tunnel was watched
    assert TOKEN.encode() not in proxy.seen
    assert b"test_run" not in proxy.seen


@pytest.mark.parametrize("setting", ["HTTP_PROXY=http://", "http_proxy=", "ALL_PROXY=http://me:geheim@"])
def test_http_goes_through_the_proxy_whose_password_is_not_shown(
    setting: str, run_with: RunWith, proxy: Proxy, sim: Simulator
) -> None:
    variable, start_of_value = setting.split("=")
    ran = run_with(**{variable: proxy.url.replace("http://", start_of_value)})
    assert_stopped(ran, sim)
    assert proxy.asked == [f"POST {sim.url}/v1/test_run/5080/action/stop"]
    assert (b"Basic bWU6Z2VoZWlt" in proxy.seen) == ("geheim" in setting)
    assert "geheim" not in ran.log


@pytest.mark.parametrize("no_proxy", [*DIRECT, *THROUGH])
def test_no_proxy_and_the_proxy_for_https_are_heeded(
    no_proxy: str, run_with: RunWith, proxy: Proxy, sim: Simulator
) -> None:
    ran = run_with(HTTPS_PROXY="http://127.0.0.1:9", HTTP_PROXY=proxy.url, NO_PROXY=no_proxy)
    assert_stopped(ran, sim)
    assert len(proxy.asked) == (0 if no_proxy in DIRECT else 1)


def test_an_answer_lost_in_a_tunnel_is_found_out_and_other_runs_go_through_it_as_well(
    run_with: RunWith, tls: dict[str, str], proxy: Proxy, tls_sim: Simulator
) -> None:
    ids = ["5080", *(str(tls_sim.state.create_run("another").id) for _ in range(3))]
    tls_sim.faults.add(faults.reset_after(), on="stop", run="5080")
    ran = run_with(HTTPS_PROXY=proxy.url, TEST_RUN_ID=" ".join(ids), **tls)
    assert ran.exit_code == 0
    assert [result["already_stopped"] for result in ran.results] == [True, False, False, False]
    assert set(proxy.asked) == {f"CONNECT {tls_sim.host}"}


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses_a_tunnel_is_unreachable(
    status: int, run_with: RunWith, tls: dict[str, str], tls_sim: Simulator
) -> None:
    with Proxy(refuse=status) as refusing:
        ran = run_with(HTTPS_PROXY=refusing.url, STOP_RECORDING_TIMEOUT="10", **tls)
    assert (ran.exit_code, tls_sim.calls) == (6, [])
    assert str(status) in ran.errors[0]


@pytest.mark.parametrize("setting", [*DOWN, *NOWHERE, *NOT_PROXIES])
def test_a_proxy_that_is_not_there_is_unreachable_and_nonsense_is_bad_input(
    setting: str, closed_port: int, run_with: RunWith, sim: Simulator
) -> None:
    variable, value = setting.format(closed_port).split("=")
    scheme = "https" if variable == "HTTPS_PROXY" else "http"
    host = f"{scheme}://{sim.host}"
    ran = run_with(**{variable: value}, WALLARM_API_HOST=host, STOP_RECORDING_TIMEOUT="1")
    assert (ran.exit_code, sim.calls) == (2 if setting in NOT_PROXIES else 6, [])
    (error,) = ran.errors
    assert (variable if setting in NOT_PROXIES else "test run 5080: no connection to 127.0.0.1") in error
    assert "geheim" not in ran.log


@pytest.mark.parametrize("ca_cert", ["file", "text", "another", ""])
def test_the_certificates_of_ca_cert_and_of_the_system_are_trusted(
    ca_cert: str, step: InProcess, tls_sim: Simulator, ca_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (step.directory / "ca.pem").write_text(ca_pem)
    another = trustme.CA().cert_pem.bytes().decode()
    if ca_cert in ("another", ""):
        monkeypatch.setenv("SSL_CERT_FILE", str(step.directory / "ca.pem"))
    value = {"file": "ca.pem", "text": ca_pem, "another": another, "": ""}[ca_cert]
    assert_stopped(step(WALLARM_API_HOST=tls_sim.host, STOP_RECORDING_CA_CERT=value), tls_sim)


@pytest.mark.parametrize("url", ["http://[::1]:{}", "[::1]:{}", "https://[0:0:0:0:0:0:0:1]:{}/"])
def test_an_ipv6_literal_is_a_host(
    url: str, step: InProcess, server_tls: ssl.SSLContext, ca_pem: str
) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    tls = None if url.startswith("http:") else server_tls
    with Simulator(token=TOKEN, baselines=5, host="::1", tls=tls) as sim:
        sim.state.create_run("first")
        host = url.format(sim.host.rpartition(":")[2])
        assert_stopped(step(WALLARM_API_HOST=host, STOP_RECORDING_CA_CERT=ca_pem), sim)


def test_the_path_of_a_base_url_is_kept(step: InProcess, sim: Simulator) -> None:
    step(WALLARM_API_HOST=f"{sim.url}/gateway/")
    assert sim.calls[0] == "POST /gateway/v1/test_run/5080/action/stop"
