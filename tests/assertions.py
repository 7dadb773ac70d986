"""What a run of the stop step must have done, whatever the case."""

import re
import unicodedata

from tests.harness import SOON, Ran
from tests.tools.simulator import Simulator

_OWN_COMMANDS = ("::add-mask::", "::error", "::warning", "::debug", "::group::", "::endgroup::")
_SECTION_MARKER = r"\x1b\[0Ksection_(start|end):\d+:wallarm_fast(\[collapsed=true\])?\r\x1b\[0K"
_OUTPUTS = {
    "test_record_id", "test_record_ids", "status", "test_run_state", "baseline_count", "results",
}  # fmt: skip


def assert_stopped(ran: Ran, sim: Simulator, *, already: bool | None = None) -> None:
    """Fail unless run 5080 was stopped; `already` is whether that was before the step, where results tell."""
    assert ran.errors == []
    assert ran.exit_code == 0
    assert ran.status == "stopped"
    assert sim.state.get("5080")["recording"] is False
    assert ran.record_id == "9058"
    if not ran.github_output:
        return
    (result,) = ran.results
    assert result["recording"] is False
    assert result["test_record_id"] == "9058"
    if already is not None:
        assert result["already_stopped"] is already


def assert_failed(ran: Ran, exit_code: int, *words: str) -> None:
    """Fail unless the step failed soon, with one error, about run 5080, that has these words."""
    assert ran.exit_code == exit_code
    (error,) = ran.errors
    assert error.startswith("test run 5080: ")
    assert [word for word in words if word not in error] == []
    assert ran.seconds < SOON


def assert_harmless(ran: Ran) -> None:
    """Fail on a command or control character that is not the step's own, an extra output, or a long line."""
    for line in re.sub(_SECTION_MARKER, "", ran.log).split("\n"):
        assert not line.lstrip().startswith("::") or line.startswith(_OWN_COMMANDS)
        assert "##[" not in line
        assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & set(map(unicodedata.category, line)), repr(line)
        assert len(line) < 1000 or line.startswith("::add-mask::")
    if ran.github_output:
        assert set(ran.outputs) == _OUTPUTS


def told(ran: Ran) -> set[tuple[str, str]]:
    """Return the status and the record id that the outputs have, wherever they could be written."""
    places = [re.findall(r"(?m)^([A-Z_]+)=(.*)$", text) for text in (ran.stdout, ran.dotenv or "")]
    assert all(len(rows) == len(dict(rows)) for rows in places), "written twice"
    found = {(dict(rows)["STOP_RECORDING_STATUS"], dict(rows)["TEST_RECORD_ID"]) for rows in places if rows}
    return found | ({(ran.outputs["status"], ran.outputs["test_record_id"])} if ran.github_output else set())
