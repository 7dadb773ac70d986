"""The main job, end to end: a recording is stopped and its record handed on."""

import json

import pytest

from tests.conftest import STOP, TOKEN, AsProcess, InProcess
from tests.tools.simulator import Simulator
from wallarm_fast import __version__


def test_a_recording_is_stopped_with_one_request(process: AsProcess, sim: Simulator) -> None:
    ran = process()
    assert (ran.exit_code, sim.calls) == (0, [STOP])
    assert sim.state.get("5080")["recording"] is False
    assert ran.stdout == (
        "TEST_RECORD_ID=9058\nTEST_RECORD_IDS=9058\nSTOP_RECORDING_STATUS=stopped\n"
        "TEST_RUN_STATE=running\nBASELINE_COUNT=5\n"
    )
    assert ran.stderr == (
        f"Stopping the recording of test run 5080 at {sim.url}\n"
        "test run 5080: recording stopped, test record 9058, baselines 5, state running\n"
    )
    (request,) = sim.requests
    assert request.body == b""
    assert request.headers.items() >= {
        ("x-wallarmapi-token", TOKEN),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", f"wallarm-fast-stop-recording/{__version__}"),
    }


def test_github_gets_every_output(process: AsProcess) -> None:
    outputs = process("github").outputs
    result = {
        "test_run_id": "5080", "test_record_id": "9058", "recording": False, "already_stopped": False,
        "state": "running", "baseline_count": 5, "url": None, "error": None,
    }  # fmt: skip
    assert json.loads(outputs.pop("results")) == [result]
    assert outputs == {
        "test_record_id": "9058", "test_record_ids": '["9058"]', "status": "stopped",
        "test_run_state": "running", "baseline_count": "5",
    }  # fmt: skip


@pytest.mark.parametrize("record_id", [0, 10**12, 10**127, "9059", "rec_9059"])
def test_the_test_record_can_be_copied(record_id: int | str, step: InProcess, sim: Simulator) -> None:
    run = sim.state.create_run("another")
    run.record.id = record_id
    sim.state.records[str(record_id)] = run.record
    handed_on = step("gitlab", TEST_RUN_ID=str(run.id)).variables["TEST_RECORD_ID"]
    assert handed_on == str(record_id)
    sim.state.copy_run("copy", handed_on)
