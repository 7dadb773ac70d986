"""The main job, end to end: a recording is stopped, its record handed on."""

import json

import pytest

from tests.conftest import TOKEN, AsProcess, InProcess
from tests.simulator import Simulator

STOP = "POST /v1/test_run/5080/action/stop"


def test_the_happy_path_is_one_post_and_nothing_else(process: AsProcess, sim: Simulator) -> None:
    ran = process()
    assert ran.exit_code == 0
    assert sim.calls == [STOP]
    assert sim.state.get("5080")["recording"] is False
    (request,) = sim.requests
    assert request.headers["x-wallarmapi-token"] == TOKEN
    assert request.body == b""


def test_the_console_gets_name_value_lines_on_stdout_and_the_log_on_stderr(
    process: AsProcess, sim: Simulator
) -> None:
    ran = process()
    assert ran.stdout == (
        "TEST_RECORD_ID=9058\nTEST_RECORD_IDS=9058\nSTOP_RECORDING_STATUS=stopped\n"
        "TEST_RUN_STATE=running\nBASELINE_COUNT=5\n"
    )
    assert ran.stderr == (
        f"Stopping the recording of test run 5080 at {sim.url}\n"
        "test run 5080: recording stopped, test record 9058, baselines 5, state running\n"
    )


def test_the_record_that_is_handed_on_can_be_copied(process: AsProcess, sim: Simulator) -> None:
    record_id = process("gitlab").variables["TEST_RECORD_ID"]
    copy = sim.state.copy_run("copy", record_id)
    assert str(copy.test_record_id) == record_id


def test_github_gets_every_output_exactly(process: AsProcess) -> None:
    ran = process("github")
    assert ran.exit_code == 0
    results = ran.outputs.pop("results")
    assert {name: value for name, value in ran.outputs.items() if name != "results"} == {
        "test_record_id": "9058",
        "test_record_ids": '["9058"]',
        "status": "stopped",
        "test_run_state": "running",
        "baseline_count": "5",
    }
    assert json.loads(results) == [
        {
            "test_run_id": "5080",
            "test_record_id": "9058",
            "recording": False,
            "already_stopped": False,
            "state": "running",
            "baseline_count": 5,
            "url": None,
            "error": None,
        }
    ]


@pytest.mark.parametrize("string_ids", [False, True])
def test_ids_may_be_integers_or_strings(string_ids: bool, step: InProcess, sim: Simulator) -> None:
    sim.state.rules.string_ids = string_ids
    run = sim.state.create_run("another")
    ran = step(TEST_RUN_ID=str(run.id))
    assert ran.variables["TEST_RECORD_ID"] == str(run.test_record_id)
    assert run.test_record_id == ("rec_9059" if string_ids else 9059)
