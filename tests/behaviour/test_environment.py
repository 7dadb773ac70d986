"""Wherever the step is put: files it cannot write, no HOME, proxies, certificates, addresses."""

import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import trustme

from tests.conftest import ROOT, TOKEN, AsProcess, InProcess, Ran, assert_no_token
from tests.proxy import Proxy
from tests.simulator import Exchange, Simulator, faults

STOP = "POST /v1/test_run/5080/action/stop"
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def assert_stopped(ran: Ran, sim: Simulator) -> None:
    assert ran.exit_code == 0
    assert ran.errors == []
    assert sim.calls == [STOP]
    assert sim.state.get("5080")["recording"] is False


# Files


@pytest.fixture(params=["missing", "directory", "below a file", "not writable"])
def bad_file(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "not writable":
        # As root nothing is forbidden, but the kernel's own files cannot be written by anyone.
        return "/proc/version"
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    names = {"missing": "missing/out", "directory": "directory", "below a file": "file/out"}
    return str(tmp_path / names[str(request.param)])


@pytest.mark.parametrize("platform", ["gitlab", "console", "github"])
def test_an_output_file_that_cannot_be_written_is_bad_input(
    platform: str, bad_file: str, process: AsProcess, sim: Simulator
) -> None:
    ran = process(platform, STOP_RECORDING_OUTPUT_FILE=bad_file)
    assert ran.exit_code == 2
    assert ran.log.count("error: " if platform != "github" else "::error ") == 1
    assert "output_file" in ran.log
    assert "Traceback" not in ran.log
    assert sim.calls == []
    if platform == "github":
        assert ran.outputs["status"] == "bad_input"


def test_a_github_output_that_cannot_be_written_is_bad_input(
    bad_file: str, process: AsProcess, sim: Simulator
) -> None:
    ran = process("github", GITHUB_OUTPUT=bad_file)
    assert ran.exit_code == 2
    assert len(ran.errors) == 1
    assert "GITHUB_OUTPUT" in ran.errors[0]
    assert "Traceback" not in ran.log
    assert sim.calls == []


def test_a_summary_that_cannot_be_written_is_a_warning(
    bad_file: str, process: AsProcess, sim: Simulator
) -> None:
    ran = process("github", GITHUB_STEP_SUMMARY=bad_file)
    assert ran.exit_code == 0
    assert "::warning::no job summary: " in ran.stdout
    assert ran.outputs["test_record_id"] == "9058"
    assert "Traceback" not in ran.log


def test_an_output_file_that_is_a_pipe_is_bad_input_and_blocks_nothing(process: AsProcess) -> None:
    os.mkfifo(process.directory / "pipe")
    ran = process(STOP_RECORDING_OUTPUT_FILE="pipe", limit=5)
    assert ran.exit_code == 2
    assert "'pipe' is a pipe" in ran.errors[0]


@pytest.mark.parametrize("platform", ["gitlab", "console"])
def test_a_disk_that_is_full_is_one_error_line(platform: str, process: AsProcess, sim: Simulator) -> None:
    ran = process(platform, STOP_RECORDING_OUTPUT_FILE="/dev/full")
    assert ran.exit_code == 2
    assert ran.log.count("error: ") == 1
    assert "Traceback" not in ran.log
    assert sim.state.get("5080")["recording"] is False


@pytest.mark.parametrize("exit_code", [2, 4])
def test_a_stdout_that_is_full_is_one_error_line(exit_code: int, process: AsProcess, sim: Simulator) -> None:
    with Path("/dev/full").open("w") as full:
        child = subprocess.run(
            [sys.executable, str(ROOT / "entrypoint.py")],
            env={**process.environ("console", {}), "TEST_RUN_ID": "5080" if exit_code == 2 else "nope"},
            cwd=process.directory,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
            check=False,
        )
    assert child.returncode == exit_code
    assert len(re.findall("^error: ", child.stderr, re.MULTILINE)) == 1
    assert "Traceback" not in child.stderr


def test_a_reader_of_stdout_that_is_gone_shows_no_traceback(process: AsProcess, sim: Simulator) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        child = subprocess.run(
            [sys.executable, str(ROOT / "entrypoint.py")],
            env=process.environ("console", {}),
            cwd=process.directory,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
            check=False,
        )
    assert child.returncode == 2
    assert "Traceback" not in child.stderr
    assert sim.state.get("5080")["recording"] is False


@pytest.mark.parametrize("platform", ["gitlab", "github"])
def test_an_output_file_that_goes_away_while_the_step_runs_is_one_error_line(
    platform: str, step: InProcess, sim: Simulator
) -> None:
    place = step.directory / "place"
    place.mkdir()

    def fault(exchange: Exchange) -> None:
        (place / "out.env").unlink()
        place.rmdir()
        exchange.answer(*exchange.act())

    sim.faults.add(fault)
    ran = step(platform, STOP_RECORDING_OUTPUT_FILE="place/out.env")
    assert ran.exit_code == 2
    assert "place/out.env" in ran.log
    assert ran.log.count("error: " if platform == "gitlab" else "::error ") == 1
    assert sim.state.get("5080")["recording"] is False
    if platform == "github":  # what was obtained before the failure is still handed on
        assert ran.outputs["test_record_id"] == "9058"


# The environment


def test_nothing_but_the_inputs_is_needed_of_the_environment(process: AsProcess, sim: Simulator) -> None:
    child = subprocess.run(
        [sys.executable, str(ROOT / "entrypoint.py")],
        env=process.base,
        cwd=process.directory,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert child.returncode == 0
    assert "TEST_RECORD_ID=9058\n" in child.stdout
    assert list(process.directory.iterdir()) == []
    assert_no_token(child.stdout + child.stderr)


@pytest.mark.parametrize(
    "env",
    [
        {"HOME": ""},
        {"HOME": "/nonexistent"},
        {"PATH": ""},
        {"PATH": "/nonexistent", "HOME": "/dev/null"},
        {"LC_ALL": "C", "LANG": "C"},
        {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"},
        {"TMPDIR": "/nonexistent"},
        {"TZ": "Nowhere/Never"},
        {"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": "/nonexistent"},
        {"REQUEST_METHOD": "GET"},
        {"NETRC": "/nonexistent"},
    ],
    ids=str,
)
def test_odd_environments_do_not_matter(env: Mapping[str, str], process: AsProcess, sim: Simulator) -> None:
    process.base |= env
    assert_stopped(process("github"), sim)


def test_words_beyond_ascii_can_be_printed_in_the_c_locale(process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(400, "нет — no — いいえ", http=400), times=None)
    ran = process("github", LC_ALL="C", LANG="C")
    assert ran.exit_code == 5
    assert "нет — no — いいえ" in ran.errors[0]


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the package and its libraries installed, as the image has."""
    home = tmp_path_factory.mktemp("isolated")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=30)
    (site,) = home.glob("lib/python*/site-packages")
    (libraries,) = (path for path in sys.path if path.endswith("site-packages"))
    (site / "paths.pth").write_text(f"{libraries}\n")
    (site / "stop_recording").symlink_to(ROOT / "stop_recording")
    return home / "bin" / "python"


def test_nothing_is_imported_from_the_workspace(isolated: Path, process: AsProcess, sim: Simulator) -> None:
    """Started as the image starts it, in a directory and with variables that a job may control."""
    evil = "raise SystemExit('the workspace was imported')\n"
    for name in (
        "httpx.py",
        "json.py",
        "sitecustomize.py",
        "usercustomize.py",
        "stop_recording.py",
        "yaml.py",
    ):
        (process.directory / name).write_text(evil)
    child = subprocess.run(
        [str(isolated), "-I", str(ROOT / "entrypoint.py")],
        env={
            **process.environ("console", {}),
            "PYTHONPATH": str(process.directory),
            "PYTHONSTARTUP": str(process.directory / "httpx.py"),
            "PYTHONHOME": "/nonexistent",
            "PYTHONINSPECT": "1",
            "PYTHONBREAKPOINT": "httpx",
            "PYTHONWARNINGS": "error",
            "PYTHONUSERBASE": str(process.directory),
            "HOME": str(process.directory),
        },
        cwd=process.directory,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert "TEST_RECORD_ID=9058\n" in child.stdout
    assert "imported" not in child.stdout + child.stderr
    assert sim.calls == [STOP]


# Proxies


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        yield running


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_https_goes_through_the_proxy_which_never_sees_the_token(
    variable: str, process: AsProcess, proxy: Proxy, tls_sim: Simulator, ca_pem: str
) -> None:
    process.base[variable] = proxy.url
    ran = process(WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=ca_pem)
    assert_stopped(ran, tls_sim)
    assert proxy.asked == [f"CONNECT {tls_sim.host}"]
    assert len(proxy.seen) > 500  # the whole tunnel was watched
    assert TOKEN.encode() not in proxy.seen
    assert b"5080" not in proxy.seen


@pytest.mark.parametrize("value", ["{}", "{}/"])
def test_http_goes_through_the_proxy_in_absolute_form(
    value: str, process: AsProcess, proxy: Proxy, sim: Simulator
) -> None:
    ran = process(HTTP_PROXY=value.format(proxy.url))
    assert_stopped(ran, sim)
    assert proxy.asked == [f"POST {sim.url}/v1/test_run/5080/action/stop"]


def test_a_proxy_without_a_scheme_is_understood(process: AsProcess, proxy: Proxy, sim: Simulator) -> None:
    assert_stopped(process(HTTP_PROXY=proxy.url.removeprefix("http://")), sim)
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("value", ["127.0.0.1", "localhost,127.0.0.1", "*", "example.com, 127.0.0.1"])
def test_no_proxy_goes_past_the_proxy(value: str, process: AsProcess, proxy: Proxy, sim: Simulator) -> None:
    assert_stopped(process(HTTP_PROXY=proxy.url, HTTPS_PROXY=proxy.url, NO_PROXY=value), sim)
    assert proxy.asked == []


def test_no_proxy_of_another_host_changes_nothing(process: AsProcess, proxy: Proxy, sim: Simulator) -> None:
    assert_stopped(process(HTTP_PROXY=proxy.url, NO_PROXY="example.com"), sim)
    assert len(proxy.asked) == 1


def test_the_proxy_of_one_scheme_is_not_that_of_the_other(
    process: AsProcess, proxy: Proxy, sim: Simulator
) -> None:
    assert_stopped(process(HTTPS_PROXY=proxy.url), sim)
    assert proxy.asked == []


def test_several_runs_go_through_the_proxy(
    step: InProcess, proxy: Proxy, tls_sim: Simulator, ca_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ["5080", *(str(tls_sim.state.create_run("run").id) for _ in range(9))]
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    ran = step(
        WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=ca_pem, TEST_RUN_ID=" ".join(ids), real_time=True
    )
    assert ran.exit_code == 0
    assert len(tls_sim.calls) == 10
    assert set(proxy.asked) == {f"CONNECT {tls_sim.host}"}


def test_a_lost_answer_through_a_proxy_is_found_out(
    step: InProcess, proxy: Proxy, tls_sim: Simulator, ca_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    tls_sim.faults.add(faults.reset_after(), on="stop")
    ran = step("github", WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=ca_pem)
    assert ran.exit_code == 0
    assert ran.results[0]["already_stopped"] is True


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_unreachable(
    scheme: str, step: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://127.0.0.1:{unused.getsockname()[1]}")
        ran = step(WALLARM_API_HOST=f"{scheme}://localhost:9")
    assert ran.exit_code == 6
    assert len(ran.errors) == 1
    assert "test run 5080: no connection to localhost" in ran.errors[0]
    assert sim.calls == []


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses_a_tunnel_is_unreachable(
    status: int, step: InProcess, ca_pem: str, tls_sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(refuse=status) as refusing:
        monkeypatch.setenv("HTTPS_PROXY", refusing.url)
        ran = step(WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=ca_pem, STOP_RECORDING_TIMEOUT="10")
    assert ran.exit_code == 6
    assert str(status) in ran.errors[0]
    assert tls_sim.calls == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("value", ["ftp://proxy:3128", "socks5://proxy:1", "://", "http://\x7f"])
def test_a_proxy_that_is_nonsense_is_bad_input(
    value: str, variable: str, step: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    ran = step()
    assert ran.exit_code == 2
    assert len(ran.errors) == 1
    assert "HTTPS_PROXY, HTTP_PROXY" in ran.errors[0]
    assert "Traceback" not in ran.log
    assert sim.calls == []


@pytest.mark.parametrize("value", ["http://[", "http://proxy:99999", "http://a b:1"])
def test_a_proxy_that_cannot_be_there_is_bad_input_or_unreachable(
    value: str, step: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    ran = step()
    assert ran.exit_code in {2, 6}
    assert len(ran.errors) == 1
    assert "Traceback" not in ran.log
    assert sim.calls == []


@pytest.mark.parametrize(
    "value", ["[::1]", "::1", "10.0.0.0/8", "*.example.com", ".example.com", ",", " , ,", "http://x"]
)
def test_any_no_proxy_is_understood_or_named(
    value: str, process: AsProcess, sim: Simulator, proxy: Proxy
) -> None:
    ran = process(HTTP_PROXY=proxy.url, NO_PROXY=value)
    if ran.exit_code == 2:
        assert "NO_PROXY" in ran.errors[0]
    else:
        assert_stopped(ran, sim)


def test_the_password_of_a_proxy_is_not_shown(
    step: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:geheim@127.0.0.1:9")
    ran = step(CI_DEBUG_TRACE="true", STOP_RECORDING_TIMEOUT="5")
    assert ran.exit_code == 6
    assert "geheim" not in ran.log + ran.stdout


# Certificates


def test_ca_cert_is_a_path_relative_to_the_working_directory(
    process: AsProcess, tls_sim: Simulator, ca_pem: str
) -> None:
    (process.directory / "certs").mkdir()
    (process.directory / "certs" / "ca.pem").write_text(ca_pem)
    ran = process(WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT="certs/ca.pem")
    assert_stopped(ran, tls_sim)


@pytest.mark.parametrize("form", ["{}", "\n\n  {}\n\n", "# a comment\n{}", "{}\n{}", "subject=/CN=x\n{}"])
def test_ca_cert_is_pem_text(form: str, step: InProcess, tls_sim: Simulator, ca_pem: str) -> None:
    ran = step(WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=form.replace("{}", ca_pem))
    assert_stopped(ran, tls_sim)


def test_ca_cert_with_windows_line_ends_works(step: InProcess, tls_sim: Simulator, ca_pem: str) -> None:
    ran = step(WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=ca_pem.replace("\n", "\r\n"))
    assert_stopped(ran, tls_sim)


def test_ca_cert_adds_to_the_system_trust(
    step: InProcess, tls_sim: Simulator, ca_pem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's trust (here: the server's CA) holds as well beside another certificate."""
    (tmp_path / "system.pem").write_text(ca_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    other = trustme.CA().cert_pem.bytes().decode()
    assert_stopped(step(WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=other), tls_sim)


# Addresses


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")
def test_an_ipv6_literal_is_a_host(process: AsProcess) -> None:
    with Simulator(token=TOKEN, baselines=5, host="::1") as sim:
        sim.state.create_run("first")
        assert_stopped(process(WALLARM_API_HOST=sim.url), sim)


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")
@pytest.mark.parametrize("form", ["https://[::1]:{}", "[::1]:{}", "https://[0:0:0:0:0:0:0:1]:{}/"])
def test_an_ipv6_literal_works_with_tls(
    form: str, step: InProcess, server_tls: ssl.SSLContext, ca_pem: str
) -> None:
    with Simulator(token=TOKEN, baselines=5, host="::1", name="::1", tls=server_tls) as sim:
        sim.state.create_run("first")
        host = form.replace("{}", sim.host.rpartition(":")[2])
        assert_stopped(step(WALLARM_API_HOST=host, STOP_RECORDING_CA_CERT=ca_pem), sim)


def test_a_bare_host_and_port_is_https(step: InProcess, tls_sim: Simulator, ca_pem: str) -> None:
    assert_stopped(step(WALLARM_API_HOST=tls_sim.host, STOP_RECORDING_CA_CERT=ca_pem), tls_sim)


def test_plain_http_to_another_machine_is_refused(step: InProcess) -> None:
    ran = step(WALLARM_API_HOST="http://host.invalid")
    assert ran.exit_code == 2
    assert "WALLARM_API_USE_SSL=false" in ran.errors[0]
    assert step.clock.slept == []


def test_plain_http_to_another_machine_can_be_had_with_a_warning(
    step: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(refuse=404) as gateway:
        monkeypatch.setenv("HTTP_PROXY", gateway.url)
        ran = step(WALLARM_API_HOST="http://host.invalid", WALLARM_API_USE_SSL="false")
    assert ran.exit_code == 4
    assert gateway.asked[0] == "POST http://host.invalid/v1/test_run/5080/action/stop"
    assert "warning: the token is sent unencrypted to host.invalid" in ran.stderr


def test_plain_http_to_this_machine_needs_no_leave(step: InProcess, sim: Simulator) -> None:
    assert sim.url.startswith("http://127.0.0.1:")
    ran = step()
    assert_stopped(ran, sim)


def test_a_base_url_with_a_path_is_kept(step: InProcess, sim: Simulator) -> None:
    step(WALLARM_API_HOST=f"{sim.url}/gateway/")
    assert sim.calls[0] == "POST /gateway/v1/test_run/5080/action/stop"
