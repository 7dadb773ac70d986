"""GitLab CI: a dotenv report by its rules, a log with a section, links to the runs."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.harness import SOON, InProcess, reporter_of, stop_result
from tests.tools.simulator import Simulator
from wallarm_fast.clock import Clock, Deadline
from wallarm_fast.outputs.table import StepOutputs
from wallarm_fast.stop.report import StopReport


def write(outputs: StepOutputs, file: Path) -> dict[str, str]:
    """Write the outputs; read the dotenv report as GitLab does: none quoted, blank, twice or too long."""
    with reporter_of({"GITLAB_CI": "true", "INPUT_OUTPUT_FILE": str(file)}) as reporter:
        reporter.write_outputs(outputs)
    reporter.drain(Deadline.after(SOON, Clock()))
    text = file.read_bytes().decode()
    assert len(text.encode()) < 5 * 1024, "GitLab refuses 5 KB"
    lines = re.findall(r"""(?m)^([A-Za-z_][A-Za-z0-9_]*)=([^\s"'`$\\#]*)\n""", text)
    assert "".join(f"{name}={value}\n" for name, value in lines) == text, "GitLab refuses or changes a line"
    assert len(dict(lines)) == len(lines)
    return dict(lines)


VARIABLES = "TEST_RECORD_ID={0}\nTEST_RECORD_IDS={0}\nSTOP_RECORDING_STATUS={1}\nTEST_RUN_STATE={2}\n"
VARIABLES += "BASELINE_COUNT={3}\n"


@pytest.mark.parametrize(
    ("env", "exit_code", "file", "values"),
    [
        ({}, 0, "stop-recording.env", ("9058", "stopped", "running", "5")),
        # As gitlab-ci-local sets it.
        ({"GITLAB_CI": "false"}, 0, "stop-recording.env", ("9058", "stopped", "running", "5")),
        (
            {"INPUT_MIN_BASELINES": "6"},
            8,
            "stop-recording.env",
            ("9058", "too_few_baselines", "running", "5"),
        ),
        ({"TEST_RUN_ID": "1", "INPUT_OUTPUT_FILE": "x.env"}, 4, "x.env", ("", "not_found", "", "")),
        ({"TEST_RUN_ID": "../x"}, 2, "stop-recording.env", ("", "bad_input", "", "")),
    ],
)
def test_the_dotenv_file_has_every_variable_whatever_happened(
    env: Mapping[str, str], exit_code: int, file: str, values: tuple[str, ...], stop: InProcess
) -> None:
    assert stop("gitlab", **env).exit_code == exit_code
    assert (stop.directory / file).read_text() == VARIABLES.format(*values)
    assert [path.name for path in stop.directory.iterdir()] == [file]


@pytest.mark.parametrize(
    ("lengths", "kept", "left_out"),
    [
        ((1, 5108, 1), ["A", "B", "C"], []),
        ((1, 5109, 1), ["A", "C"], ["B"]),
        ((4000, 9000, 1000), ["A", "C"], ["B"]),
        ((3000, 4000, 5000), ["A"], ["C", "B"]),
    ],
)
def test_the_longest_variables_are_left_out_with_a_warning_until_the_file_fits_into_5_kb(
    lengths: tuple[int, ...],
    kept: list[str],
    left_out: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables = {name: "x" * length for name, length in zip("ABC", lengths, strict=True)}
    file = tmp_path / "x.env"
    assert write(StepOutputs({}, variables), file) == {name: variables[name] for name in kept}
    warning = f"does not fit into {file}, which must stay under 5 KB, and is left out"
    assert capsys.readouterr().err.splitlines() == [f"warning: {name} {warning}" for name in left_out]


def test_of_too_many_records_only_the_list_is_left_out(tmp_path: Path) -> None:
    report = StopReport(
        results=[stop_result("1", f"record_{number}".ljust(128, "_")) for number in range(50)]
    )
    variables = write(report.make_outputs([]), tmp_path / "x.env")
    assert list(variables) == ["TEST_RECORD_ID", "STOP_RECORDING_STATUS", "TEST_RUN_STATE", "BASELINE_COUNT"]
    assert variables["TEST_RECORD_ID"] == "record_0".ljust(128, "_")


def test_the_work_is_a_section_that_is_open_and_its_outcome_follows(stop: InProcess, sim: Simulator) -> None:
    start = r"\x1b\[0Ksection_start:\d{10}:wallarm_fast\r\x1b\[0KStopping .* at "
    end = r"\n\x1b\[0Ksection_end:\d{10}:wallarm_fast\r\x1b\[0K\n"
    outcome = r"test run 5080: recording stopped, test record 9058, baselines 5, state running\n"
    ran = stop("gitlab")
    assert re.fullmatch(start + sim.url + end + outcome, ran.stderr)
    assert ran.stdout == ""


def test_links_to_the_runs_are_written_next_to_the_dotenv_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [stop_result(str(number), url=f"https://portal/{number}") for number in (1, 2)]
    outputs = StopReport(results=[*runs, stop_result("3")]).make_outputs([])
    write(outputs, tmp_path / "x.env")
    links = [{"label": f"Test run {number}", "url": f"https://portal/{number}"} for number in (1, 2)]
    report = json.loads((tmp_path / "x.links.json").read_text())
    assert report == {"Wallarm FAST": [{"external_link": link} for link in links]}
    (tmp_path / "y.links.json").mkdir()
    assert write(outputs, tmp_path / "y.env")["STOP_RECORDING_STATUS"] == "stopped"
    assert re.fullmatch(r"warning: no links: .*\n", capsys.readouterr().err)


def test_more_links_than_gitlab_takes_are_left_out(tmp_path: Path) -> None:
    runs = [stop_result(str(number), url="https://portal/" + "x" * 20) for number in range(1200)]
    write(StopReport(results=runs[:999]).make_outputs([]), tmp_path / "some.env")
    write(StopReport(results=runs).make_outputs([]), tmp_path / "many.env")
    some, many = (json.loads((tmp_path / f"{name}.links.json").read_text()) for name in ("some", "many"))
    assert len(some["Wallarm FAST"]) > 700
    assert many == some
    assert (tmp_path / "many.links.json").stat().st_size <= 80_000


def test_the_links_never_replace_another_output(tmp_path: Path) -> None:
    report = StopReport(results=[stop_result("1", url="https://portal/1")])
    variables = write(report.make_outputs([]), tmp_path / "x.links.json")
    assert variables["STOP_RECORDING_STATUS"] == "stopped"
