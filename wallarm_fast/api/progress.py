"""Reads what an answer says about the security tests of a run. It may be hostile, as in `responses`."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from wallarm_fast.api.responses import check_id, parse_count, parse_id, parse_state
from wallarm_fast.text import hide

_MAX_TEXT = 100
_MAX_THREAT = 100
_COUNTS = {
    "baselines": "baseline_count",
    "checked": "baseline_check_all_terminated_count",
    "passed": "baseline_check_passed_count",
    "failed": "baseline_check_fail_count",
    "failed_technically": "baseline_check_tech_fail_count",
}


@dataclass(frozen=True)
class Vulnerability:
    """A vulnerability that was found. Every field is None if the API does not say it; threat is 1 to 100."""

    id: str | None
    threat: int | None
    code: str | None
    type: str | None

    @classmethod
    def read(cls, item: object, token: str) -> Self:
        """Take what is usable from an item of the list, whatever that is."""
        values = item if isinstance(item, dict) else {}
        threat = values.get("threat")
        return cls(
            id=parse_id(values.get("id"), token),
            threat=threat if type(threat) is int and 1 <= threat <= _MAX_THREAT else None,
            code=_read_text(values.get("code"), token),
            type=_read_text(values.get("type"), token),
        )


@dataclass(frozen=True)
class Progress:
    """What an answer says about the security tests of a run; None for what it does not say.

    `seconds_left` is an estimate. `counts` are those of the baselines: all, checked, and by outcome. Of the
    `vulnerabilities`, those of unknown threat come first, then the worst.
    """

    state: str | None = None
    test_record_id: str | None = None
    recording: bool | None = None
    node_active: bool | None = None
    seconds_left: float | None = None
    counts: Mapping[str, int | None] = field(default_factory=lambda: dict.fromkeys(_COUNTS))
    vulnerabilities: tuple[Vulnerability, ...] = ()

    @classmethod
    def read(cls, run: Mapping[str, object], token: str, test_run_id: str) -> Self:
        """Take what is usable from a test run; raises TransientError if it is another one."""
        check_id(run, token, test_run_id)
        recording, active = run.get("recording"), run.get("node_active")
        found = [Vulnerability.read(item, token) for item in _items(run.get("vulns"))]
        return cls(
            state=parse_state(run.get("state"), token),
            test_record_id=parse_id(run.get("test_record_id"), token),
            recording=recording if isinstance(recording, bool) else None,
            node_active=active if isinstance(active, bool) else None,
            seconds_left=parse_count(run.get("estimated_time_to_completion")),
            counts={name: parse_count(run.get(key)) for name, key in _COUNTS.items()},
            vulnerabilities=tuple(sorted(found, key=lambda item: -(item.threat or math.inf))),
        )


def _items(value: object) -> Iterable[object]:
    """Return the items of a list. Anything else that is not empty is an item: it must not pass for none."""
    if isinstance(value, list | dict):
        return value.values() if isinstance(value, dict) else value
    return [value] if value else []


def _read_text(value: object, token: str) -> str | None:
    # The token is removed before the cut, which could leave a piece of it.
    return hide(token, value)[:_MAX_TEXT] if isinstance(value, str) else None
