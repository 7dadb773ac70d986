"""The rows of docs/failure-modes.md, and the cases that run them."""

import os
import re
import signal
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.harness import ROOT, InProcess
from tests.tools.simulator import Exchange, Simulator, faults

_PAGE = (ROOT / "docs/failure-modes.md").read_text("utf-8")
# The rows by the headings above them: a situation, what the step does, and the exit code.
_SECTIONS = {
    section.partition("\n")[0]: re.findall(r"(?m)^\| (.+?) \| (.+?) \| (\d+) \|$", section)
    for section in _PAGE.split("\n## ")
}
START_ROWS = _SECTIONS.pop("The start step")
VERDICT_ROWS = _SECTIONS.pop("The verdict step")
ROWS = [row for rows in _SECTIONS.values() for row in rows]
Change = Callable[[InProcess, Simulator, pytest.MonkeyPatch], object]


class Case:
    """A run of a step with inputs, in a changed world, and what comes of it.

    `says` is a pattern for the log and the outputs, `calls` what is called, `record` the record that the
    outputs of a failure name, `tracebacks` their number, `seconds` the most that it may take. Of the verdict
    step, `copies` is the number of calls that ask for a copy, and `aborted` has the runs that are aborted. Of
    the start step, `created` tells whether the outputs have the id of a new run.
    """

    def __init__(  # noqa: PLR0913 - what may be told of a case
        self,
        *changes: Change,
        says: str = "",
        calls: list[str] | None = None,
        record: str = "",
        tracebacks: int = 0,
        seconds: float = 120,
        copies: int = 0,
        aborted: Sequence[int] = (),
        created: bool = True,
        **env: str,
    ) -> None:
        self.changes, self.says, self.calls, self.record, self.env = changes, says, calls, record, env
        self.tracebacks, self.seconds = tracebacks, seconds
        self.copies, self.aborted, self.created = copies, aborted, created


def rules(**wanted: Any) -> Change:  # noqa: ANN401 - the fields of Rules
    return lambda step, sim, patch: vars(sim.state.rules).update(wanted)


def omit(field: str) -> Change:
    return rules(omit_in_stop={field}, omit_in_get={field})


def show(**overrides: object) -> Change:
    return lambda step, sim, patch: sim.state.find("5080").overrides.update(overrides)


def arrive(count: int, over: float) -> Change:
    return lambda step, sim, patch: sim.state.record("5080", count, over)


def fault(what: faults.Fault, on: faults.On | None = None, times: int | None = 1) -> Change:
    return lambda step, sim, patch: sim.faults.add(what, on, times)


def always(what: faults.Fault, on: faults.On | None = None) -> Change:
    return fault(what, on, times=None)


def kill(number: signal.Signals, on: faults.On | None = None) -> Change:
    """Send the signal to this process while a request hangs."""

    def hang(exchange: Exchange) -> None:
        os.kill(os.getpid(), number)
        exchange.wait(None)

    return fault(hang, on)
