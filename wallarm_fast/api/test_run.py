"""What a response says about a test run. It may be hostile, as in `responses`."""

import heapq
import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from wallarm_fast.api.responses import (
    parse_count,
    parse_flag,
    parse_id,
    parse_number,
    parse_state,
    parse_text,
)
from wallarm_fast.api.retry import TransientError
from wallarm_fast.errors import RefusedError

# A response may list 500,000. Only so many of each run are kept, since all runs are in memory until the end.
MAX_VULNERABILITIES = 10_000
_FINAL_STATES = {"passed", "failed", "interrupted"}
_MAX_TEXT = 100
MAX_THREAT = 100
_COUNTS = {
    "baseline_count": "baseline_count",
    "checked_count": "baseline_check_all_terminated_count",
    "passed_count": "baseline_check_passed_count",
    "failed_count": "baseline_check_fail_count",
    "failed_technically_count": "baseline_check_tech_fail_count",
}


@dataclass(frozen=True)
class Vulnerability:
    """A vulnerability that was found. Every field is None if it is unknown; threat is 1 to 100."""

    id: str | None
    threat: int | None
    code: str | None
    type: str | None

    @classmethod
    def parse(cls, item: object, token: str) -> Self:
        """Take what is usable from an item of the list, whatever that is."""
        values = item if isinstance(item, dict) else {}
        return cls(
            id=parse_id(values.get("id"), token),
            threat=_parse_threat(item),
            code=parse_text(values.get("code"), token, _MAX_TEXT),
            type=parse_text(values.get("type"), token, _MAX_TEXT),
        )


@dataclass(frozen=True)
class Counts:
    """Numbers of baselines: all, checked, and by the outcome of their security tests. None if unknown."""

    baseline_count: int | None = None
    checked_count: int | None = None
    passed_count: int | None = None
    failed_count: int | None = None
    failed_technically_count: int | None = None


@dataclass(frozen=True)
class TestRun:
    """The state of a test run; None for what is unknown.

    `unusable_record_id`: there is a test_record_id, but it is not an id or contains the token;
    `unusable_counts`: the names in the response of counts that are there, but are not whole numbers.
    `seconds_left` is an estimate, `seconds` what the tests took. Of the `vulnerabilities`, those of unknown
    threat come first, then the worst; of those beyond MAX_VULNERABILITIES there is only `left_out`, their
    numbers by threat.
    """

    __test__ = False  # pytest takes the name for a class of tests

    id: str | None = None
    recording: bool | None = None
    test_record_id: str | None = None
    unusable_record_id: bool | None = None
    state: str | None = None
    node_active: bool | None = None
    ready_for_recording: bool | None = None
    counts: Counts = Counts()
    unusable_counts: tuple[str, ...] = ()
    vulnerabilities: tuple[Vulnerability, ...] = ()
    left_out: Mapping[int | None, int] = field(default_factory=dict)
    seconds_left: float | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, body: object, token: str, *ids: str) -> Self:
        """Take what is usable from the body of an envelope.

        Raises TransientError if the `id` in it is none of `ids`, if any are given, or `recording` is neither
        a boolean nor null.
        """
        run = body if isinstance(body, dict) else {}
        run_id, recording = parse_id(run.get("id"), token), run.get("recording")
        if ids and run.get("id") is not None and run_id not in ids:
            raise TransientError(RefusedError, "the response is about another test run")
        if parse_flag(recording) is not recording:
            raise TransientError(RefusedError, "recording is neither true nor false in the response")
        record_id = None if run.get("test_record_id") == "" else run.get("test_record_id")
        usable_id = parse_id(record_id, token)
        counts = {name: parse_count(run.get(key)) for name, key in _COUNTS.items()}
        items = _items(run.get("vulns"))
        worst = heapq.nlargest(MAX_VULNERABILITIES, items, lambda item: _parse_threat(item) or math.inf)
        vulnerabilities = tuple(Vulnerability.parse(item, token) for item in worst)
        return cls(
            id=run_id,
            recording=parse_flag(recording),
            test_record_id=usable_id,
            unusable_record_id=None if record_id is None else usable_id is None,
            state=parse_state(run.get("state"), token),
            node_active=parse_flag(run.get("node_active")),
            ready_for_recording=parse_flag(run.get("ready_for_recording")),
            counts=Counts(**counts),
            unusable_counts=tuple(
                key for name, key in _COUNTS.items() if counts[name] is None and run.get(key) is not None
            ),
            vulnerabilities=vulnerabilities,
            left_out=Counter(map(_parse_threat, items)) - Counter(found.threat for found in vulnerabilities),
            seconds_left=parse_number(run.get("estimated_time_to_completion")),
            seconds=_duration(run),
        )

    @property
    def ended(self) -> bool:
        """Its security tests have ended, or it was aborted."""
        return self.state in _FINAL_STATES

    @property
    def baseline_count(self) -> int | None:
        """The number of baselines recorded."""
        return self.counts.baseline_count

    @property
    def vulnerability_count(self) -> int:
        """The number of vulnerabilities, including those that are left out."""
        return len(self.vulnerabilities) + sum(self.left_out.values())

    def without_count(self) -> Self:
        """Return this run without what may have changed by a stop."""
        return replace(self, counts=replace(self.counts, baseline_count=None), unusable_record_id=None)

    def updated(self, newer: Self) -> Self:
        """Return this run with everything that is known from a newer response."""
        known = {name: value for name, value in vars(newer).items() if name != "counts"}
        counts = {name: value for name, value in vars(newer.counts).items() if value is not None}
        return replace(
            self,
            counts=replace(self.counts, **counts),
            **{name: value for name, value in known.items() if value is not None},
        )


NOTHING_KNOWN = TestRun()


def _items(value: object) -> Collection[object]:
    """Return the items of a list. Anything else that is not empty is an item: it must not pass for none."""
    if isinstance(value, list | dict):
        return value.values() if isinstance(value, dict) else value
    return [value] if value else []


def _parse_threat(item: object) -> int | None:
    threat = parse_number(item.get("threat")) if isinstance(item, dict) else None
    return int(threat) if threat and threat in range(1, MAX_THREAT + 1) else None


def _duration(run: Mapping[str, object]) -> float | None:
    start, end = parse_number(run.get("start_time")), parse_number(run.get("end_time"))
    return end - start if start is not None and end is not None and end >= start else None
