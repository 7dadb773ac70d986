"""The inputs and outputs of the verdict step, and the settings that the inputs make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from wallarm_fast.api.test_run import MAX_THREAT
from wallarm_fast.inputs import parsers
from wallarm_fast.inputs.connection import CONNECTION_INPUTS, Settings, read_connection, read_timeout
from wallarm_fast.inputs.run_fields import RUN_INPUTS, read_run_fields
from wallarm_fast.inputs.table import Input, InputReader
from wallarm_fast.outputs.table import Output
from wallarm_fast.platforms.detection import Platform
from wallarm_fast.text import as_json_id

_NO_IDS: tuple[str, ...] = ()
INPUTS = {
    **CONNECTION_INPUTS,
    "test_run_id": Input(
        "TEST_RUN_ID",
        "ID of the test run to wait for, or several; with `copy`, of those that must end first",
        otherwise="required without `copy`",
        type="list",
    ),
    "copy": Input(
        "FAST_VERDICT_COPY",
        "first copy a test run with test_record_id, then wait for the copy",
        "false",
        type="boolean",
    ),
    "test_record_id": Input(
        "TEST_RECORD_ID",
        "ID of the test record to copy with, or several, whose copies run one after another",
        otherwise="required with `copy`",
        type="list",
    ),
    "name": Input(
        "TEST_RUN_NAME", "name of the copy", otherwise="built from the test record and the pipeline number"
    ),
    **RUN_INPUTS,
    "wait_for_idle": Input(
        "FAST_VERDICT_WAIT_FOR_IDLE",
        "with `copy` and test_run_id: wait until that test run has ended, since the copy would abort it",
        "true",
        type="boolean",
    ),
    "timeout": Input(
        "FAST_VERDICT_TIMEOUT",
        "seconds for the whole step, including retries and waits",
        "3600",
        type="float",
    ),
    "min_threat": Input(
        "FAST_VERDICT_MIN_THREAT",
        f"lowest threat, 1 to {MAX_THREAT}, at which a vulnerability fails the step",
        "1",
        type="integer",
    ),
    "junit_file": Input(
        "FAST_VERDICT_JUNIT_FILE",
        "JUnit XML file to write",
        type="file",
        gitlab_file="fast-verdict.junit.xml",
    ),
    "output_file": Input(
        "FAST_VERDICT_OUTPUT_FILE", "dotenv file to write", type="file", gitlab_file="fast-verdict.env"
    ),
}
OUTPUTS = {
    "status": Output("FAST_VERDICT_STATUS", "`passed`, or why not (see the exit codes)"),
    "test_run_id": Output(
        "VERDICT_TEST_RUN_ID", "ID of the (first) test run that was waited for; with `copy`, of the copy"
    ),
    "vulnerability_count": Output(
        "VULNERABILITY_COUNT",
        "number of vulnerabilities found, whatever their threat; empty if unknown",
        "integer",
    ),
    "vulnerabilities": Output(
        "",
        "JSON array with an object per vulnerability, at most 500: `id`, `threat`, `code`, `type`, "
        "`test_run_id`",
    ),
    "results": Output(
        "",
        "JSON array with an object per test run: `test_run_id`, `test_record_id`, `state`, "
        "`baseline_count`, `checked_count`, `passed_count`, `failed_count`, `failed_technically_count`, "
        "`vulnerabilities`, `url`, `error`",
    ),
}


@dataclass(frozen=True, kw_only=True)
class VerdictSettings(Settings):
    """All inputs, checked. `copies` has the fields of the API's call for each copy, none without `copy`.

    `test_run_ids` are the runs to wait for: with copies, those that must end before, if `wait_for_idle`.
    """

    test_run_ids: Sequence[str]
    wait_for_idle: bool
    copies: Sequence[Mapping[str, object]]
    min_threat: int


def read_settings(reader: InputReader, platform: Platform) -> VerdictSettings:
    """Read and check every input; raises InputError, which lists all problems."""
    copy = reader.read("copy", parsers.parse_boolean, fallback=False)
    connection = read_connection(reader)
    copies: Sequence[Mapping[str, object]] = ()
    if copy:
        copies = _read_copies(reader, platform)
        test_run_ids = reader.read_optional("test_run_id", parsers.parse_test_run_ids) or _NO_IDS
    else:
        test_run_ids = reader.read("test_run_id", parsers.parse_test_run_ids, _NO_IDS)
        if not test_run_ids and reader.given("test_record_id"):
            reader.reject("copy", "must be true to test again with test_record_id, which is given")
    settings = VerdictSettings(
        connection=connection,
        timeout=read_timeout(reader),
        test_run_ids=test_run_ids,
        wait_for_idle=reader.read("wait_for_idle", parsers.parse_boolean, fallback=True),
        copies=copies,
        min_threat=reader.read(
            "min_threat", partial(parsers.parse_whole_number, least=1, most=MAX_THREAT), 1
        ),
    )
    reader.finish()
    return settings


def _read_copies(reader: InputReader, platform: Platform) -> Sequence[Mapping[str, object]]:
    """Return the fields of each copy, by their names in the API."""
    given = read_run_fields(reader, {"name": ("name", parsers.parse_text)})
    return [
        {
            "name": platform.with_pipeline(f"Test record {record_id}"),
            "test_record_id": as_json_id(record_id),
            **given,
        }
        for record_id in reader.read("test_record_id", parsers.parse_test_record_ids, _NO_IDS)
    ]
