"""Any other console: the outputs on stdout as name=value lines, the log on stderr."""

import pytest

from tests.harness import InProcess, reporter_of, stop_result
from tests.tools.simulator import Simulator
from wallarm_fast.stop.report import StopReport


def test_stdout_has_nothing_but_the_variables_and_stderr_marks_warnings_and_debugging(
    stop: InProcess, sim: Simulator
) -> None:
    sim.state.find("5080").overrides["baseline_count"] = 0
    ran = stop(CI_DEBUG_TRACE="true")
    assert list(ran.variables) == [
        "TEST_RECORD_ID",
        "TEST_RECORD_IDS",
        "STOP_RECORDING_STATUS",
        "TEST_RUN_STATE",
        "BASELINE_COUNT",
    ]
    first, *debug, warning, last = ran.stderr.splitlines()
    assert first == f"Stopping the recording of test run 5080 at {sim.url}"
    assert all(line.startswith("debug: ") for line in debug)
    assert debug[-1].startswith("debug: POST /v1/test_run/5080/action/stop -> 200 in 0.")
    assert warning.startswith("warning: test run 5080: no baselines were recorded")
    assert last == "test run 5080: recording stopped, test record 9058, baselines 0, state running"


def test_an_output_file_is_replaced_by_the_lines_of_stdout_and_no_other_file_appears(stop: InProcess) -> None:
    (stop.directory / "out.env").write_text("TEST_RECORD_ID=old\n" * 1000)
    ran = stop(STOP_RECORDING_OUTPUT_FILE="out.env")
    assert ran.dotenv == ran.stdout
    assert "TEST_RECORD_ID=9058\n" in ran.stdout
    assert [path.name for path in stop.directory.iterdir()] == ["out.env"]


def test_stdout_has_all_records_however_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    records = [f"record_{number}" for number in range(1000)]
    report = StopReport(results=[stop_result("5080", record) for record in records])
    with reporter_of({}) as reporter:
        reporter.print_outputs(report.make_outputs([]))
    assert f"\nTEST_RECORD_IDS={','.join(records)}\n" in capsys.readouterr().out
