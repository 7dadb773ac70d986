"""The command line, internal errors, the log before the work, and links to the portal of a real cloud."""

import json
import logging
import math
import ssl
from collections.abc import Callable, Mapping

import pytest
import trustme

from tests.harness import PLATFORMS, TOKEN, InProcess
from tests.tools.proxy import Proxy
from tests.tools.simulator import Simulator, faults
from wallarm_fast import __version__
from wallarm_fast.inputs.table import Input
from wallarm_fast.stop.settings import INPUTS
from wallarm_fast.verdict.settings import INPUTS as VERDICT_INPUTS


@pytest.mark.parametrize(("name", "inputs"), [("stop", INPUTS), ("verdict", VERDICT_INPUTS)])
def test_help_lists_inputs_in_columns_and_exit_codes(
    name: str, inputs: Mapping[str, Input], step: Callable[[str], InProcess]
) -> None:
    command = step(name)
    ran = command("console", "--help")
    assert ran.exit_code == 0
    assert ran.stderr == ""
    lines = ran.stdout.splitlines()
    (head,) = [line for line in lines if line.startswith("  input ")]
    for given, spec in inputs.items():
        (line,) = [line for line in lines if line.startswith(f"  {given} ")]
        assert line.split()[:3] == [given, spec.variable, spec.default or "-"]
        assert line[head.index("meaning") :] == spec.meaning
    assert max(map(len, lines)) <= 150
    for word in ("WALLARM_API_TOKEN_FILE", f"{command.command.name}.env", "130/143"):
        assert word in ran.stdout


def test_version_is_printed(stop: InProcess, sim: Simulator) -> None:
    ran = stop("console", "--version")
    assert (ran.exit_code, ran.stdout, sim.calls) == (0, f"stop-recording {__version__}\n", [])


@pytest.mark.parametrize("arguments", [["-h"], ["5080"], ["--help", "--version"], ["--version", "x"], [""]])
def test_other_arguments_are_bad_input(arguments: list[str], stop: InProcess, sim: Simulator) -> None:
    ran = stop("github", *arguments)
    assert (ran.exit_code, ran.stdout, sim.calls) == (2, "", [])
    assert ran.stderr == "error: the only arguments are --help and --version\n"


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("broken", ["monotonic", "wall"])
def test_an_internal_error_shows_a_traceback_without_the_token(
    broken: str, platform: str, stop: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`monotonic` breaks the step itself, `wall`, which is read after a 503, the work on the run."""
    reads = [0.0]

    def fail_at_the_second_read() -> float:
        if reads:
            return reads.pop()
        raise ZeroDivisionError(f"the clock broke at {TOKEN}")

    monkeypatch.setattr(stop.clock, broken, fail_at_the_second_read)
    sim.faults.add(faults.answer(503), times=None, run="5080")
    other = sim.state.create_run("other")
    ran = stop(platform, TEST_RUN_ID=f"{other.id} 5080")  # which looks for the token
    assert ran.exit_code == 1
    assert "| Traceback (most recent call last):" in ran.log
    assert "ZeroDivisionError: the clock broke at ***" in ran.log
    (error,) = ran.errors
    assert error.endswith("unexpected ZeroDivisionError; please report it with the lines above")
    status = ran.outputs["status"] if platform == "github" else ran.variables["STOP_RECORDING_STATUS"]
    assert status == "internal_error"
    assert broken == "monotonic" or other.record.stopped_at < math.inf
    for start, end in (("::group::", "::endgroup::"), ("section_start", "section_end")):
        assert ran.log.count(start) == ran.log.count(end)


def test_warnings_come_before_the_work_and_no_log_handler_is_left(stop: InProcess, sim: Simulator) -> None:
    before = list(logging.getLogger("wallarm_fast").handlers)
    everywhere = sim.url.replace("127.0.0.1", "0.0.0.0")
    ran = stop("github", WALLARM_API_HOST=everywhere, WALLARM_API_USE_SSL="false")
    title = f"Stopping the recording of test run 5080 at {everywhere}"
    assert f"\n::warning::the token is sent unencrypted to 0.0.0.0\n::group::{title}\n" in ran.stdout
    assert logging.getLogger("wallarm_fast").handlers == before


@pytest.mark.parametrize(("region", "site"), [("us", "us1."), ("eu", ""), ("me", "me1.")])
def test_every_platform_links_to_the_run_in_the_portal(
    region: str, site: str, stop: InProcess, ca: trustme.CA, ca_pem: str
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(f"{site}api.wallarm.com").configure_cert(tls)
    stop.base |= {"WALLARM_API_HOST": "", "WALLARM_CLOUD_REGION": region, "STOP_RECORDING_CA_CERT": ca_pem}
    with Simulator(token=TOKEN, tls=tls) as cloud, Proxy(route_to=cloud.host) as proxy:
        cloud.state.create_run("first")
        github, gitlab = (stop(platform, HTTPS_PROXY=proxy.url) for platform in ("github", "gitlab"))
    assert (github.exit_code, gitlab.exit_code) == (0, 0)
    url = f"https://{site}my.wallarm.com/testing/testruns/5080"
    assert github.results[0]["url"] == url
    assert f"[5080]({url})" in github.summary
    links = json.loads((stop.directory / "stop-recording.links.json").read_text())
    assert links == {"Wallarm FAST": [{"external_link": {"label": "Test run 5080", "url": url}}]}
