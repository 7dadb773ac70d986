"""What GitLab CI gets: a dotenv report by its rules, a log with a section that folds, links to the runs."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stop_recording.errors import Refused
from stop_recording.reporting import make_reporter
from stop_recording.reporting.outputs import DOTENV_NAMES, action_outputs, dotenv
from stop_recording.result import Report, StopResult
from stop_recording.settings import read_platform
from tests.conftest import TOKEN, InProcess
from tests.simulator import Exchange, Simulator, faults

PORTAL = "https://us1.my.wallarm.com/testing/testruns/"
LIMIT = 5 * 1024


def parse_dotenv(text: str) -> dict[str, str]:
    """Read a dotenv report as GitLab does: each line a variable, none blank, nothing quoted or replaced."""
    assert len(text.encode()) < LIMIT, "GitLab refuses 5 KB"
    variables: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        found = re.fullmatch(r"""([A-Za-z_][A-Za-z0-9_]*)=([^\s"'`$\\#]*)""", line)
        assert found, f"GitLab refuses or changes {line!r}"
        assert found[1] not in variables
        variables[found[1]] = found[2]
    return variables


def write(directory: Path, report: Report, **environ: str) -> None:
    file = str(directory / "out.env")
    environ = {"GITLAB_CI": "true", "STOP_RECORDING_OUTPUT_FILE": file, "WALLARM_API_TOKEN": TOKEN, **environ}
    with make_reporter(read_platform(environ)) as reporter:
        reporter.write(report)


def stopped(count: int, length: int = 20) -> list[StopResult]:
    return [
        StopResult(str(n), str(n).rjust(length, "r"), recording=False, url=f"{PORTAL}{n}")
        for n in range(count)
    ]


# The dotenv file.


def test_the_dotenv_file_has_its_name_by_default_and_every_variable(step: InProcess) -> None:
    ran = step("gitlab")
    assert ran.exit_code == 0
    assert (step.directory / "stop-recording.env").read_text() == (
        "TEST_RECORD_ID=9058\nTEST_RECORD_IDS=9058\nSTOP_RECORDING_STATUS=stopped\n"
        "TEST_RUN_STATE=running\nBASELINE_COUNT=5\n"
    )


def test_the_dotenv_file_may_have_another_name(step: InProcess) -> None:
    ran = step("gitlab", STOP_RECORDING_OUTPUT_FILE="other.env")
    assert parse_dotenv(ran.dotenv or "")["TEST_RECORD_ID"] == "9058"
    assert not (step.directory / "stop-recording.env").exists()


@pytest.mark.parametrize(
    "env", [{"TEST_RUN_ID": "../x"}, {"TEST_RUN_ID": "1"}, {"WALLARM_API_TOKEN": "hush hush"}]
)
def test_a_failure_writes_the_dotenv_file_by_the_same_rules(env: dict[str, str], step: InProcess) -> None:
    ran = step("gitlab", **env)  # type: ignore[arg-type]  # no flag among these
    assert ran.exit_code
    assert list(parse_dotenv(ran.dotenv or "")) == list(DOTENV_NAMES.values())


def test_what_was_obtained_before_a_failure_is_in_the_dotenv_file(step: InProcess) -> None:
    ran = step("gitlab", STOP_RECORDING_MIN_BASELINES="6")
    assert ran.exit_code == 8
    assert parse_dotenv(ran.dotenv or "") == {
        "TEST_RECORD_ID": "9058",
        "TEST_RECORD_IDS": "9058",
        "STOP_RECORDING_STATUS": "too_few_baselines",
        "TEST_RUN_STATE": "running",
        "BASELINE_COUNT": "5",
    }


def test_a_list_that_does_not_fit_is_left_out_with_a_warning_and_the_rest_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, Report(stopped(300)))
    variables = parse_dotenv((tmp_path / "out.env").read_text())
    assert "TEST_RECORD_IDS" not in variables
    assert variables["TEST_RECORD_ID"] == "rrrrrrrrrrrrrrrrrrr0"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: TEST_RECORD_IDS is left out of ")
    assert "5 KB" in line


def test_the_longest_list_that_fits_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "out.env"
    sizes = set()
    for length in range(1, 129):
        results = stopped(1, 1) + stopped(38, 128) + stopped(1, length)
        write(tmp_path, Report(results))
        text = file.read_text()
        sizes.add(len(text))
        assert len(text) < LIMIT
        whole = len(dotenv(action_outputs(Report(results), [])))
        assert ("TEST_RECORD_IDS=" in text) == (whole < LIMIT)
    assert max(sizes) == LIMIT - 1


RESULTS = st.builds(
    StopResult,
    test_run_id=st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True),
    test_record_id=st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True),
    state=st.none() | st.from_regex(r"[a-z_]{1,32}", fullmatch=True),
    baseline_count=st.none() | st.integers(0, 10**12),
    error=st.none() | st.builds(Refused, st.text()),
)


@given(st.lists(RESULTS, max_size=50))
def test_any_result_obeys_the_rules_of_dotenv_reports(results: list[StopResult]) -> None:
    with TemporaryDirectory() as directory:
        write(Path(directory), Report(results))
        variables = parse_dotenv((Path(directory) / "out.env").read_text())
    assert {*variables, "TEST_RECORD_IDS"} == set(DOTENV_NAMES.values())
    records = [result.test_record_id for result in results if result.test_record_id]
    assert variables.get("TEST_RECORD_IDS") in (",".join(records), None)
    assert variables["TEST_RECORD_ID"] == ((results[0].test_record_id or "") if results else "")


@pytest.mark.parametrize("path", ["/dev/full"])
def test_a_dotenv_file_that_fails_at_the_end_fails_the_step_with_the_record_in_the_log(
    path: str, step: InProcess
) -> None:
    ran = step("gitlab", STOP_RECORDING_OUTPUT_FILE=path)
    assert ran.exit_code == 2
    assert "test record 9058" in ran.stderr
    assert len(ran.errors) == 1


def test_a_dotenv_file_that_went_while_stopping_fails_the_step(step: InProcess, sim: Simulator) -> None:
    def spoil(exchange: Exchange) -> None:
        file = step.directory / "stop-recording.env"
        file.unlink()
        file.mkdir()
        exchange.answer(*exchange.act())

    sim.faults.add(spoil, on="stop")
    ran = step("gitlab")
    assert ran.exit_code == 2
    assert "test record 9058" in ran.stderr
    assert ran.errors == ["outputs: 'stop-recording.env' cannot be written: Is a directory"]


# The log.

SECTION = re.compile(
    r"\A\x1b\[0Ksection_start:\d{10,}:(?P<name>[a-z_]+)\[collapsed=true\]\r\x1b\[0K(?P<title>[^\n]*)\n(?P<inside>.*?)"
    r"\x1b\[0Ksection_end:\d{10,}:(?P=name)\r\x1b\[0K(?P<after>.*)\Z",
    re.DOTALL,
)


def test_what_is_done_folds_away_and_its_outcome_stays(step: InProcess, sim: Simulator) -> None:
    ran = step("gitlab")
    section = SECTION.match(ran.stderr)
    assert section
    assert section["title"] == f"Stopping the recording of test run 5080 at {sim.url}"
    outcome = "test run 5080: recording stopped, test record 9058, baselines 5, state running\n"
    assert section["after"].lstrip("\n") == outcome
    assert ran.stdout == ""


@pytest.mark.parametrize(
    "text", ["\x1b[0Ksection_end:1:stop_recording\r\x1b[0K", "\n::error::x", "##[x]"], ids=ascii
)
def test_what_the_api_says_cannot_end_the_section_or_make_a_line(
    text: str, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(400, {"status": 400, "body": text}), on="POST", times=None)
    ran = step("gitlab")
    section = SECTION.match(ran.stderr)
    assert section
    assert "##[" not in ran.stderr
    for part in ("title", "inside", "after"):
        assert all(line.isprintable() for line in section[part].split("\n"))
    assert section["after"].lstrip("\n").startswith("error: test run 5080: ")
    assert section["after"].count("error: test run") == 1


def test_a_section_ends_also_when_a_bug_ends_what_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = make_reporter(read_platform({"GITLAB_CI": "true"}))
    with pytest.raises(ZeroDivisionError), reporter, reporter.section("title"):
        raise ZeroDivisionError
    assert "section_end:" in capsys.readouterr().err


def test_requests_are_logged_only_when_gitlab_debugs(step: InProcess) -> None:
    assert "POST" not in step("gitlab").stderr
    assert "debug: POST /v1/test_run/5080/action/stop -> 200" in step("gitlab", CI_DEBUG_TRACE="true").stderr


# Links.


def test_links_to_the_runs_are_written_for_the_annotations_report(tmp_path: Path) -> None:
    write(tmp_path, Report(stopped(2)))
    assert json.loads((tmp_path / "out.links.json").read_text()) == {
        "Wallarm FAST": [
            {"external_link": {"label": "Test run 0", "url": f"{PORTAL}0"}},
            {"external_link": {"label": "Test run 1", "url": f"{PORTAL}1"}},
        ]
    }


def test_there_is_no_file_of_links_where_no_portal_is_known(step: InProcess) -> None:
    step("gitlab")
    assert not list(step.directory.glob("*.json"))


def test_links_that_cannot_be_written_are_only_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.links.json").mkdir()
    write(tmp_path, Report(stopped(1)))
    assert capsys.readouterr().err.startswith("warning: no links: ")
    assert parse_dotenv((tmp_path / "out.env").read_text())["STOP_RECORDING_STATUS"] == "stopped"
