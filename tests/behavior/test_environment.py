"""Environments: which variables matter, which get a warning, and what is never imported."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.assertions import assert_stopped
from tests.harness import ROOT, TOKEN, AsProcess, InProcess
from tests.tools.simulator import Simulator

ODD_ENVIRONMENTS = {
    "none": {},
    "empty": dict.fromkeys("HOME PATH TMPDIR TZ LC_ALL".split(), ""),
    "missing": dict.fromkeys("HOME PATH TMPDIR TZ NETRC SSL_CERT_FILE SSL_CERT_DIR".split(), "/nonexistent"),
    "ascii": {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii", "REQUEST_METHOD": "GET", "HOME": "/dev/null"},
}


@pytest.mark.parametrize("env", ODD_ENVIRONMENTS.values(), ids=ODD_ENVIRONMENTS)
def test_no_variables_but_the_inputs_matter_and_no_file_appears(
    env: dict[str, str], stop_process: AsProcess, sim: Simulator
) -> None:
    assert_stopped(stop_process(**env), sim)
    assert list(stop_process.directory.iterdir()) == []


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


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_for_other_tools_get_a_warning_unless_ca_cert_is_given(
    variable: str, stop: InProcess, ca_pem: str
) -> None:
    env = {variable: "/etc/ssl/company.pem"}
    warning = f"::warning::{variable} is not used; to trust its certificates, set ca_cert (WALLARM_CA_CERT)\n"
    assert warning in stop("github", **env).log
    assert warning not in stop("github", **env, WALLARM_CA_CERT=ca_pem).log


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_of_the_system_that_are_not_there_get_a_warning(
    variable: str, stop: InProcess, ca_pem: str
) -> None:
    (stop.directory / "ca.pem").write_text(ca_pem)
    warning = f"::warning::{variable} names '/missing.pem', which does not exist\n"
    assert warning in stop("github", **{variable: "/missing.pem"}).log
    assert "warning" not in stop("github", **{variable: "ca.pem"}).log


@pytest.mark.parametrize(
    ("region", "host", "warnings"),
    [
        (
            "eu",
            "us1.api.wallarm.com",
            ["cloud_region is ignored, since api_host is set to us1.api.wallarm.com"],
        ),
        ("us", "api.example", ["cloud_region is ignored, since api_host is set to api.example"]),
        ("EU", "https://api.wallarm.com./v1", []),
        ("", "api.example", []),
    ],
)
def test_a_region_that_the_host_overrides_gets_a_warning(
    region: str, host: str, warnings: list[str], stop: InProcess, closed_port: int
) -> None:
    stop.base |= {"WALLARM_CLOUD_REGION": region, "WALLARM_API_HOST": host, "STOP_RECORDING_TIMEOUT": "0.1"}
    ran = stop("github", HTTPS_PROXY=f"http://127.0.0.1:{closed_port}")
    assert re.findall("::warning::(.*)", ran.log) == warnings


@pytest.mark.parametrize("token", ["'tok'", '"tok"'])
def test_a_token_in_quotes_is_bad_input(token: str, stop: InProcess, sim: Simulator) -> None:
    (error,) = stop(WALLARM_API_TOKEN=token).errors
    assert error.startswith("token (WALLARM_API_TOKEN): is in quotes, which are taken as a part of it (as in")
    assert sim.calls == []


def test_the_path_of_a_file_as_token_is_bad_input_but_a_token_may_look_like_a_path(
    stop: InProcess, sim: Simulator
) -> None:
    path = stop.directory.parent / "token"
    sim.tokens.append(str(path))
    assert_stopped(stop(WALLARM_API_TOKEN=str(path)), sim)
    path.write_text(TOKEN)
    ran = stop(WALLARM_API_TOKEN=str(path))
    assert ran.exit_code == 2
    (error,) = ran.errors
    assert "is the path of a file (a CI variable of the type File?); set WALLARM_API_TOKEN_FILE to" in error


@pytest.mark.parametrize("line_break", ["\\n", " ", "\r\n", "\\r\\n"], ids=repr)
def test_certificates_whose_line_breaks_were_lost_on_the_way_are_trusted(
    line_break: str, stop: InProcess, tls_sim: Simulator, ca_pem: str
) -> None:
    pem = (ca_pem * 2).strip().replace("\n", line_break)
    assert_stopped(stop(WALLARM_API_HOST=tls_sim.url, WALLARM_CA_CERT=pem), tls_sim)


def test_a_key_log_that_cannot_be_written_does_not_matter(
    stop: InProcess, tls_sim: Simulator, ca_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/missing/keys")
    assert_stopped(stop(WALLARM_API_HOST=tls_sim.url, WALLARM_CA_CERT=ca_pem), tls_sim)
