"""The inputs of the stop step and the settings they make."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wallarm_fast.api.connection import Connection
from wallarm_fast.inputs import parsers
from wallarm_fast.inputs.connection import API_HOST, CA_CERT, CLOUD_REGION, read_connection
from wallarm_fast.inputs.output_files import check_output_files
from wallarm_fast.inputs.table import TOKEN, Input, InputReader
from wallarm_fast.platforms.detection import Platform
from wallarm_fast.stop.outputs import DOTENV_NAMES
from wallarm_fast.stop.quiet import STOP_RESERVE

GITLAB_OUTPUT_FILE = "stop-recording.env"
INPUTS = {
    "token": TOKEN,
    "test_run_id": Input("TEST_RUN_ID", "", "one or more ids of test runs (required)"),
    "cloud_region": CLOUD_REGION,
    "api_host": API_HOST,
    "timeout": Input("STOP_RECORDING_TIMEOUT", "120", "seconds for the whole step"),
    "quiet_period": Input(
        "STOP_RECORDING_QUIET_PERIOD", "0", "seconds without a new baseline before the stop"
    ),
    "min_baselines": Input("STOP_RECORDING_MIN_BASELINES", "0", "fail if fewer baselines were recorded"),
    "dry_run": Input("STOP_RECORDING_DRY_RUN", "false", "check inputs, token and run; change nothing"),
    "ca_cert": CA_CERT,
    "output_file": Input(
        "STOP_RECORDING_OUTPUT_FILE", "", f"dotenv file to write (GitLab: {GITLAB_OUTPUT_FILE})"
    ),
}


@dataclass(frozen=True)
class Settings:
    """All inputs, checked. Times are in seconds."""

    connection: Connection
    test_run_ids: tuple[str, ...]
    timeout: float
    quiet_period: float
    min_baselines: int
    dry_run: bool
    warnings: Sequence[str]


def read_settings(environ: Mapping[str, str], platform: Platform) -> Settings:
    """Read and check every input; raises InputError, which lists all problems."""
    reader = InputReader(INPUTS, environ)
    reader.warn_of_unknown("STOP_RECORDING_", DOTENV_NAMES.values())
    settings = Settings(
        connection=read_connection(reader),
        test_run_ids=reader.read("test_run_id", parsers.parse_test_run_ids, ()),
        timeout=reader.read("timeout", parsers.parse_timeout, math.inf),
        quiet_period=reader.read("quiet_period", parsers.parse_seconds, 0.0),
        min_baselines=reader.read("min_baselines", parsers.parse_whole_number, 0),
        dry_run=reader.read("dry_run", parsers.parse_boolean, fallback=False),
        warnings=reader.warnings,
    )
    if settings.quiet_period >= settings.timeout:
        reader.reject("quiet_period", "must be shorter than timeout, or no time would be left to stop")
    elif settings.quiet_period > (longest := settings.timeout - min(STOP_RESERVE, settings.timeout / 2)):
        reader.warnings.append(
            f"quiet_period ({settings.quiet_period:g} s) is too close to timeout ({settings.timeout:g} s); "
            f"recording is stopped after {longest:g} s at the latest"
        )
    check_output_files(reader, platform)
    reader.raise_problems()
    return settings
