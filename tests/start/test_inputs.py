"""What becomes of the inputs: fields of the API's call, or an error before any call."""

import pytest

from tests.harness import TOKEN, InProcess
from tests.tools.simulator import Simulator

FIELDS = [
    ("INPUT_NAME", "nightly", "name", "nightly"),
    ("TEST_RUN_NAME", "nightly", "name", "nightly"),
    ("TEST_RECORD_NAME", "of the night", "test_record_name", "of the night"),
    ("TEST_RUN_DESC", "of main", "desc", "of main"),
    ("TEST_RUN_POLICY_ID", "12", "policy_id", 12),
    ("TEST_RUN_POLICY_ID", "p-12", "policy_id", "p-12"),
    ("TEST_RUN_RPS", "1000", "rps", 1000),
    ("TEST_RUN_RPS_PER_BASELINE", "500", "rps_per_baseline", 500),
    ("TEST_RUN_STOP_ON_FIRST_FAIL", "true", "stop_on_first_fail", True),
    ("FILE_EXTENSIONS_TO_EXCLUDE", "ico|png", "file_extensions_to_exclude", "ico|png"),
    ("START_RECORDING_SKIP_DUPLICATED_BASELINES", "false", "skip_duplicated_baselines", False),
    ("START_RECORDING_INACTIVITY_TIMEOUT", "300", "inactivity_timeout", 300),
    ("START_RECORDING_INACTIVITY_TIMEOUT", "86400", "inactivity_timeout", 86_400),
]


@pytest.mark.parametrize(("variable", "text", "field", "value"), FIELDS)
def test_an_input_becomes_a_field_of_the_call(  # noqa: PLR0913, PLR0917 - columns
    variable: str, text: str, field: str, value: object, start: InProcess, sim: Simulator
) -> None:
    assert start(**{variable: text}).exit_code == 0
    assert sim.state.find("5081").request == {"name": "Recording", field: value}


def test_without_inputs_the_call_has_nothing_but_a_name(start: InProcess, sim: Simulator) -> None:
    assert start().exit_code == 0
    assert sim.state.find("5081").request == {"name": "Recording"}


def test_the_name_has_the_number_of_the_pipeline(start: InProcess, sim: Simulator) -> None:
    assert start("github", GITHUB_RUN_ID="1234").exit_code == 0
    assert sim.state.find("5081").request == {"name": "Recording, pipeline 1234"}


@pytest.mark.parametrize("variable", ["TEST_RUN_POLICY_ID", "TEST_RUN_RPS", "TEST_RUN_RPS_PER_BASELINE"])
def test_zero_means_the_default(variable: str, start: InProcess, sim: Simulator) -> None:
    assert start(**{variable: "0"}).exit_code == 0
    assert sim.state.find("5081").request == {"name": "Recording"}


@pytest.mark.parametrize("variable", ["INACTIVITY_TIMEOUT", "TEST_RUN_ID", "TEST_RECORD_ID"])
def test_what_means_something_else_is_not_read(variable: str, start: InProcess, sim: Simulator) -> None:
    assert start(**{variable: "600"}).exit_code == 0
    assert sim.state.find("5081").request == {"name": "Recording"}


INACTIVITY = "inactivity_timeout (START_RECORDING_INACTIVITY_TIMEOUT): must be a whole number, 300 to 86400"
BAD_INPUT = {
    "WALLARM_API_TOKEN=": "token (WALLARM_API_TOKEN): is required",
    "TEST_RUN_RPS=1001": "rps (TEST_RUN_RPS): must be a whole number, 0 to 1000, not '1001'",
    "TEST_RUN_RPS=-1": "rps (TEST_RUN_RPS): must be a whole number, 0 to 1000, not '-1'",
    "TEST_RUN_RPS_PER_BASELINE=501": (
        "rps_per_baseline (TEST_RUN_RPS_PER_BASELINE): must be a whole number, 0 to 500, not '501'"
    ),
    "TEST_RUN_POLICY_ID=a/b": "policy_id (TEST_RUN_POLICY_ID): is not an id",
    "TEST_RUN_STOP_ON_FIRST_FAIL=2": "stop_on_first_fail (TEST_RUN_STOP_ON_FIRST_FAIL): must be true or",
    "START_RECORDING_SKIP_DUPLICATED_BASELINES=maybe": (
        "skip_duplicated_baselines (START_RECORDING_SKIP_DUPLICATED_BASELINES): must be true or false"
    ),
    "START_RECORDING_INACTIVITY_TIMEOUT=299": f"{INACTIVITY}, not '299'",
    "START_RECORDING_INACTIVITY_TIMEOUT=86401": f"{INACTIVITY}, not '86401'",
    "START_RECORDING_INACTIVITY_TIMEOUT=0": f"{INACTIVITY}, not '0'",
    "START_RECORDING_TIMEOUT=0": "timeout (START_RECORDING_TIMEOUT): must be a number of seconds, more than",
    f"TEST_RUN_NAME=x{TOKEN}": "name (TEST_RUN_NAME): contains the token",
    f"TEST_RECORD_NAME=x{TOKEN}": "test_record_name (TEST_RECORD_NAME): contains the token",
    "TEST_RECORD_NAME=caf\udce9": "test_record_name (TEST_RECORD_NAME): is not UTF-8 text",
    "START_RECORDING_OUTPUT_FILE=/no/such": "output_file (START_RECORDING_OUTPUT_FILE): '/no/such' cannot be",
    "GITHUB_ENV=/no/such": "GITHUB_ENV: '/no/such' cannot be written",
}


@pytest.mark.parametrize(("setting", "problem"), BAD_INPUT.items(), ids=BAD_INPUT.values())
def test_bad_input_is_named_before_any_call(
    setting: str, problem: str, start: InProcess, sim: Simulator
) -> None:
    variable, value = setting.split("=")
    ran = start("github", **{variable: value})
    assert ran.exit_code == 2
    assert ran.outputs["status"] == "bad_input"
    assert sim.calls == []
    (error,) = ran.errors
    assert error.startswith(problem)


def test_all_bad_inputs_are_named(start: InProcess, sim: Simulator) -> None:
    ran = start(TEST_RUN_RPS="x", START_RECORDING_TIMEOUT="x", TEST_RUN_POLICY_ID="x/")
    assert ran.exit_code == 2
    assert sim.calls == []
    assert [error.partition(" ")[0] for error in ran.errors] == ["timeout", "policy_id", "rps"]


def test_a_misspelled_variable_gets_a_warning(start: InProcess) -> None:
    ran = start(START_RECORDING_TIMOUT="5")
    assert ran.exit_code == 0
    warning = (
        "the variable START_RECORDING_TIMOUT is unknown and ignored; did you mean START_RECORDING_TIMEOUT?"
    )
    assert f"warning: {warning}" in ran.stderr.splitlines()


def test_the_outputs_of_an_earlier_start_are_no_misspelled_variables(start: InProcess) -> None:
    assert "warning" not in start(START_RECORDING_STATUS="ready").log
