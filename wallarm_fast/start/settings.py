"""The inputs and outputs of the start step, and the settings that the inputs make."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from wallarm_fast.inputs import parsers
from wallarm_fast.inputs.connection import CONNECTION_INPUTS, Settings, read_connection, read_timeout
from wallarm_fast.inputs.run_fields import OF_THE_API, RUN_INPUTS, Fields, read_run_fields
from wallarm_fast.inputs.table import Input, InputReader
from wallarm_fast.outputs.table import Output
from wallarm_fast.platforms.detection import Platform

_SHORTEST_INACTIVITY = 300
_LONGEST_INACTIVITY = 86_400
INPUTS = {
    **CONNECTION_INPUTS,
    "name": Input("TEST_RUN_NAME", "name of the test run", otherwise="built from the pipeline number"),
    "test_record_name": Input(
        "TEST_RECORD_NAME", "name of the new test record", otherwise=f"name of the test run {OF_THE_API}"
    ),
    **RUN_INPUTS,
    "skip_duplicated_baselines": Input(
        "START_RECORDING_SKIP_DUPLICATED_BASELINES",
        "skip requests that are already recorded",
        otherwise=f"`true` {OF_THE_API}",
        type="boolean",
    ),
    "inactivity_timeout": Input(
        "START_RECORDING_INACTIVITY_TIMEOUT",
        "seconds without new requests after which FAST stops recording by itself, "
        f"{_SHORTEST_INACTIVITY} to {_LONGEST_INACTIVITY}",
        otherwise=f"`1800` {OF_THE_API}",
        type="integer",
    ),
    "timeout": Input(
        "START_RECORDING_TIMEOUT",
        "seconds for the whole step, including retries and waits",
        "300",
        type="float",
    ),
    "output_file": Input(
        "START_RECORDING_OUTPUT_FILE", "dotenv file to write", type="file", gitlab_file="start-recording.env"
    ),
}
OUTPUTS = {
    "test_run_id": Output("TEST_RUN_ID", "ID of the new test run"),
    "status": Output("START_RECORDING_STATUS", "`ready`, or why not (see the exit codes)"),
    "url": Output(
        "TEST_RUN_URL", "address of the test run in the portal; empty if `api_host` belongs to no known cloud"
    ),
}
_MORE_FIELDS: Fields = {
    "name": ("name", parsers.parse_text),
    "test_record_name": ("test_record_name", parsers.parse_text),
    "skip_duplicated_baselines": ("skip_duplicated_baselines", parsers.parse_boolean),
    "inactivity_timeout": (
        "inactivity_timeout",
        partial(parsers.parse_whole_number, least=_SHORTEST_INACTIVITY, most=_LONGEST_INACTIVITY),
    ),
}


@dataclass(frozen=True, kw_only=True)
class StartSettings(Settings):
    """All inputs, checked. `fields` are those of the API's call, by their names there."""

    fields: Mapping[str, object]


def read_settings(reader: InputReader, platform: Platform) -> StartSettings:
    """Read and check every input; raises InputError, which lists all problems."""
    settings = StartSettings(
        connection=read_connection(reader),
        timeout=read_timeout(reader),
        fields={"name": platform.with_pipeline("Recording"), **read_run_fields(reader, _MORE_FIELDS)},
    )
    if platform.kind == "github" and "GITHUB_ENV" not in platform.files:
        reader.warn("GITHUB_ENV is not set, so later steps do not get TEST_RUN_ID from the environment")
    reader.finish()
    return settings
