"""The inputs and outputs of the stop step, and the settings that the inputs make."""

from dataclasses import dataclass

from wallarm_fast.inputs import parsers
from wallarm_fast.inputs.connection import CONNECTION_INPUTS, Settings, read_connection, read_timeout
from wallarm_fast.inputs.table import Input, InputReader
from wallarm_fast.outputs.table import Output
from wallarm_fast.stop.quiet import STOP_RESERVE

INPUTS = {
    "token": CONNECTION_INPUTS["token"],
    "test_run_id": Input(
        "TEST_RUN_ID",
        "ID of the test run; several IDs are separated by commas or white space, or are a YAML or JSON list",
        otherwise="required",
        type="list",
    ),
    **CONNECTION_INPUTS,
    "timeout": Input(
        "STOP_RECORDING_TIMEOUT",
        "seconds for the whole step, including retries and waits",
        "120",
        type="float",
    ),
    "quiet_period": Input(
        "STOP_RECORDING_QUIET_PERIOD",
        "wait until no new baseline has arrived for this many seconds, and there are min_baselines, before "
        "recording is stopped; 0 stops at once",
        "0",
        type="float",
    ),
    "min_baselines": Input(
        "STOP_RECORDING_MIN_BASELINES",
        "fail if fewer baselines were recorded; recording is stopped anyway",
        "0",
        type="integer",
    ),
    "dry_run": Input(
        "STOP_RECORDING_DRY_RUN", "check inputs, token and test run; change nothing", "false", type="boolean"
    ),
    "output_file": Input(
        "STOP_RECORDING_OUTPUT_FILE", "dotenv file to write", type="file", gitlab_file="stop-recording.env"
    ),
}
OUTPUTS = {
    "test_record_id": Output(
        "TEST_RECORD_ID", "ID of the test record; with several test runs, of the first one"
    ),
    "test_record_ids": Output(
        "TEST_RECORD_IDS",
        "JSON array of the known test record IDs, in the order given, for fromJSON in a matrix; separated by "
        "commas in the dotenv file",
    ),
    "status": Output("STOP_RECORDING_STATUS", "`stopped`, `dry_run`, or why not (see the exit codes)"),
    "test_run_state": Output("TEST_RUN_STATE", "state of the (first) test run after the stop"),
    "baseline_count": Output("BASELINE_COUNT", "number of recorded baselines; empty if unknown", "integer"),
    "results": Output(
        "",
        "JSON array with an object per test run: `test_run_id`, `test_record_id`, `recording`, "
        "`already_stopped`, `state`, `baseline_count`, `url`, `error`",
    ),
}


@dataclass(frozen=True, kw_only=True)
class StopSettings(Settings):
    """All inputs, checked. Times are in seconds."""

    test_run_ids: tuple[str, ...]
    quiet_period: float = 0.0
    min_baselines: int = 0
    dry_run: bool = False


def read_settings(reader: InputReader) -> StopSettings:
    """Read and check every input; raises InputError, which lists all problems."""
    settings = StopSettings(
        connection=read_connection(reader),
        timeout=read_timeout(reader),
        test_run_ids=reader.read("test_run_id", parsers.parse_test_run_ids, ()),
        quiet_period=reader.read("quiet_period", parsers.parse_seconds, 0.0),
        min_baselines=reader.read("min_baselines", parsers.parse_whole_number, 0),
        dry_run=reader.read("dry_run", parsers.parse_boolean, fallback=False),
    )
    if settings.quiet_period >= settings.timeout:
        reader.reject(
            "quiet_period",
            f"must be shorter than timeout ({settings.timeout:g} s), or no time would be left to stop",
        )
    elif settings.quiet_period > (longest := settings.timeout - min(STOP_RESERVE, settings.timeout / 2)):
        reader.warn(
            f"quiet_period ({settings.quiet_period:g} s) is too close to timeout ({settings.timeout:g} s); "
            f"recording is stopped after {longest:g} s at the latest"
        )
    reader.finish()
    return settings
