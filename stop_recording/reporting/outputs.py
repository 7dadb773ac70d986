"""The outputs of the step: names, values, and the dotenv file that GitLab CI hands on."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from stop_recording.errors import BadInput
from stop_recording.reporting.text import one_line
from stop_recording.result import Report, StopResult

# GitLab refuses a dotenv report of more than 5 KB.
DOTENV_LIMIT = 5 * 1024 - 1

# Output of the action: variable in the dotenv file.
DOTENV_NAMES = {
    "test_record_id": "TEST_RECORD_ID",
    "test_record_ids": "TEST_RECORD_IDS",
    "status": "STOP_RECORDING_STATUS",
    "test_run_state": "TEST_RUN_STATE",
    "baseline_count": "BASELINE_COUNT",
}
_log = logging.getLogger(__name__)


def action_outputs(report: Report, secrets: Iterable[str]) -> dict[str, str]:
    """Return every output by name. What is not known is empty; `test_record_ids` has the known ones."""
    first = report.results[0] if report.results else StopResult("")
    record_ids = [result.test_record_id for result in report.results if result.test_record_id]
    return {
        "test_record_id": first.test_record_id or "",
        "test_record_ids": _json(record_ids),
        "status": report.status,
        "test_run_state": first.state or "",
        "baseline_count": "" if first.baseline_count is None else str(first.baseline_count),
        "results": _json([_result(result, secrets) for result in report.results]),
    }


def dotenv(outputs: dict[str, str]) -> str:
    """Return the outputs as lines of `NAME=value`."""
    values = {variable: outputs[name] for name, variable in DOTENV_NAMES.items()}
    values["TEST_RECORD_IDS"] = ",".join(json.loads(outputs["test_record_ids"]))
    return "".join(f"{name}={value}\n" for name, value in values.items())


def write_dotenv(path: str, outputs: dict[str, str]) -> None:
    """Write the dotenv file, without the list where that is too long; BadInput if it cannot be written."""
    lines = dotenv(outputs).splitlines(keepends=True)
    if sum(map(len, lines)) > DOTENV_LIMIT:
        lines = [line for line in lines if not line.startswith("TEST_RECORD_IDS=")]
        _log.warning(
            "TEST_RECORD_IDS is left out of %s, which must stay under 5 KB; the others are in it", path
        )
    write_file(path, "".join(lines))


def write_file(path: str, text: str, *, append: bool = False) -> None:
    """Write a file of outputs; BadInput, which names the file, if that fails."""
    if Path(path).is_fifo():  # opening it could block for ever
        raise BadInput(f"{path!r} is a pipe; give a file")
    try:
        with Path(path).open("a" if append else "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise BadInput(f"{path!r} cannot be written: {error.strerror}") from None


def _result(result: StopResult, secrets: Iterable[str]) -> dict[str, object]:
    return {**vars(result), "error": result.error and one_line(str(result.error), secrets)}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
