"""The inputs of the verdict step and the settings they make."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from wallarm_fast.api.connection import Connection
from wallarm_fast.inputs import parsers
from wallarm_fast.inputs.connection import API_HOST, CA_CERT, CLOUD_REGION, read_connection
from wallarm_fast.inputs.output_files import check_file, check_output_files
from wallarm_fast.inputs.table import TOKEN, Input, InputReader, read_input
from wallarm_fast.platforms.detection import Platform
from wallarm_fast.text import id_literal
from wallarm_fast.verdict.outputs import DOTENV_NAMES

_NO_IDS: tuple[str, ...] = ()
GITLAB_OUTPUT_FILE = "fast-verdict.env"
GITLAB_JUNIT_FILE = "fast-verdict.junit.xml"
INPUTS = {
    "token": TOKEN,
    "cloud_region": CLOUD_REGION,
    "api_host": API_HOST,
    "ca_cert": CA_CERT,
    "test_run_id": Input("TEST_RUN_ID", "", "one or more ids of test runs (required without copy)"),
    "copy": Input("FAST_VERDICT_COPY", "false", "copy the run with test_record_id, then wait for the copy"),
    "test_record_id": Input("TEST_RECORD_ID", "", "one or more ids of test records (required with copy)"),
    "name": Input("TEST_RUN_NAME", "", "name of the copy"),
    "description": Input("TEST_RUN_DESC", "", "description of the copy"),
    "policy_id": Input("TEST_RUN_POLICY_ID", "", "test policy of the copy"),
    "rps": Input("TEST_RUN_RPS", "", "limit of test requests a second of the copy, 1 to 1000"),
    "stop_on_first_fail": Input(
        "TEST_RUN_STOP_ON_FIRST_FAIL", "", "end the copy with its first vulnerability"
    ),
    "file_extensions_to_exclude": Input(
        "FILE_EXTENSIONS_TO_EXCLUDE", "", "regular expression of file extensions that the copy leaves out"
    ),
    "wait_for_idle": Input(
        "FAST_VERDICT_WAIT_FOR_IDLE",
        "true",
        "with copy: wait for the end of test_run_id, if given, before copying",
    ),
    "timeout": Input("FAST_VERDICT_TIMEOUT", "3600", "seconds for the whole step"),
    "min_threat": Input("FAST_VERDICT_MIN_THREAT", "1", "lowest threat, 1 to 100, that fails the step"),
    "junit_file": Input(
        "FAST_VERDICT_JUNIT_FILE", "", f"JUnit XML file to write (GitLab: {GITLAB_JUNIT_FILE})"
    ),
    "output_file": Input(
        "FAST_VERDICT_OUTPUT_FILE", "", f"dotenv file to write (GitLab: {GITLAB_OUTPUT_FILE})"
    ),
}
_MAX_RPS = 1000
_MAX_THREAT = 100


@dataclass(frozen=True)
class Settings:
    """All inputs, checked. `copies` has the fields of the API's call for each copy, none without `copy`.

    `wait_for` are the runs to wait for: with copies, those that must end before. Times are in seconds.
    """

    connection: Connection
    wait_for: Sequence[str]
    copies: Sequence[Mapping[str, object]]
    timeout: float
    min_threat: int
    junit_file: str | None
    warnings: Sequence[str]


def read_settings(environ: Mapping[str, str], platform: Platform) -> Settings:
    """Read and check every input; raises InputError, which lists all problems."""
    reader = InputReader(INPUTS, environ)
    reader.warn_of_unknown("FAST_VERDICT_", DOTENV_NAMES.values())
    copy = reader.read("copy", parsers.parse_boolean, fallback=False)
    wait_for_idle = reader.read("wait_for_idle", parsers.parse_boolean, fallback=True)
    connection = read_connection(reader)
    if copy:
        copies = _read_copies(reader, platform)
        wait_for = reader.read_optional("test_run_id", parsers.parse_test_run_ids) if wait_for_idle else None
    else:
        copies, wait_for = (), reader.read("test_run_id", parsers.parse_test_run_ids, _NO_IDS)
        if not wait_for and read_input(environ, "test_record_id", INPUTS["test_record_id"]):
            reader.reject("copy", "must be true to test again with test_record_id, which is given")
    settings = Settings(
        connection=connection,
        wait_for=wait_for or (),
        copies=copies,
        timeout=reader.read("timeout", parsers.parse_timeout, math.inf),
        min_threat=reader.read(
            "min_threat", partial(parsers.parse_whole_number, least=1, most=_MAX_THREAT), 1
        ),
        junit_file=find_junit_file(environ, platform),
        warnings=reader.warnings,
    )
    check_output_files(reader, platform)
    check_file(reader, "junit_file", settings.junit_file)
    if settings.junit_file and settings.junit_file in (platform.output_file, platform.github_output):
        reader.reject("junit_file", "is the file of the outputs, too; give another")
    reader.raise_problems()
    return settings


def find_junit_file(environ: Mapping[str, str], platform: Platform) -> str | None:
    """Return where to write JUnit XML, valid or not; None: nowhere."""
    given = read_input(environ, "junit_file", INPUTS["junit_file"])
    return given or (GITLAB_JUNIT_FILE if platform.kind == "gitlab" else None)


def _read_copies(reader: InputReader, platform: Platform) -> Sequence[Mapping[str, object]]:
    """Return the fields of each copy, by their names in the API."""
    parse_rps = partial(parsers.parse_whole_number, least=1, most=_MAX_RPS)
    optional: dict[str, object] = {
        "name": reader.read_optional("name", parsers.parse_text),
        "desc": reader.read_optional("description", parsers.parse_text),
        "policy_id": reader.read_optional("policy_id", lambda text: id_literal(parsers.parse_id(text))),
        "rps": reader.read_optional("rps", parse_rps),
        "stop_on_first_fail": reader.read_optional("stop_on_first_fail", parsers.parse_boolean),
        "file_extensions_to_exclude": reader.read_optional("file_extensions_to_exclude", parsers.parse_text),
    }
    given = {name: value for name, value in optional.items() if value is not None}
    pipeline = f", pipeline {platform.pipeline}" if platform.pipeline else ""
    return [
        {"name": f"Test record {record_id}{pipeline}", "test_record_id": id_literal(record_id), **given}
        for record_id in reader.read("test_record_id", parsers.parse_test_record_ids, _NO_IDS)
    ]
