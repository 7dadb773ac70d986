"""Test runs and test records, and the rules that the API applies to them. Knows no HTTP."""

import itertools
import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

Id = int | str
View = dict[str, object]
# What else the API shows of a run, none of which depends on the recording.
_OTHER_FIELDS: View = {
    "clientid": 4, "vulns": [], "start_time": 1531316470, "end_time": None, "domains": ["example.com"],
    "node_active": True, "estimated_time_to_completion": None, "current_rps": 0, "avg_rps": 0,
    "sended_requests_count": 0, "planing_requests_count": 0, "baseline_check_all_terminated_count": 0,
    "baseline_check_fail_count": 0, "baseline_check_tech_fail_count": 0, "baseline_check_passed_count": 0,
    "baseline_check_running_count": 0, "baseline_check_interrupted_count": 0,
}  # fmt: skip


@dataclass(kw_only=True)
class Rules:
    """How this API behaves where the real one may go either way. May be changed while it runs."""

    baselines: int = 0  # recorded by each new run, arriving evenly over `arrival_seconds`
    arrival_seconds: float = 0.0
    string_ids: bool = False  # "tr_5080" and "rec_9058" instead of 5080 and 9058
    stop_delay: float = 0.0  # seconds from the stop call until `recording` is false
    second_stop: Literal["ok", "refuse"] = "ok"
    record_id_delay: float = 0.0  # seconds until a new run names its test record
    omit_in_stop: Collection[str] = ()  # fields left out of the answer to a stop
    omit_in_get: Collection[str] = ()
    stop_call_unknown: Literal[404, 405] | None = None  # what the stop by run answers if the API lacks it
    bad_token_status: Literal[401, 403] = 403


class ApiError(Exception):
    """The API refuses a request, with this status and body."""


@dataclass
class Record:
    """A test record: the baselines that arrived while it was recording."""

    id: Id
    named_at: float  # from then on the API names it
    arrivals: list[float] = field(default_factory=list)
    stopped_at: float = math.inf

    def recording(self, now: float) -> bool:
        return now < self.stopped_at

    def baseline_count(self, now: float) -> int:
        return sum(arrival <= min(now, self.stopped_at) for arrival in self.arrivals)


@dataclass
class Run:
    """A test run; `overrides` are fields that the API shows instead of the true ones."""

    id: Id
    name: str
    record: Record
    state: str = "running"
    overrides: View = field(default_factory=dict)

    @property
    def test_record_id(self) -> Id:
        return self.record.id


class State:
    """All runs and records."""

    def __init__(self, rules: Rules, clock: Callable[[], float] = time.monotonic) -> None:
        self.rules = rules
        self.clock = clock
        self.runs: dict[str, Run] = {}
        self.records: dict[str, Record] = {}
        self._run_numbers, self._record_numbers = itertools.count(5080), itertools.count(9058)

    def create_run(self, name: str, id: Id | None = None, **overrides: object) -> Run:  # noqa: A002
        """Create a run that is recording, or with `recording=False` one that is stopped."""
        now, record_id = self.clock(), self._next_id("rec_", self._record_numbers)
        record = self.records[str(record_id)] = Record(record_id, now + self.rules.record_id_delay)
        run = Run(id or self._next_id("tr_", self._run_numbers), name, record, overrides=overrides)
        self.runs[str(run.id)] = run
        self.record(run.id, self.rules.baselines, over=self.rules.arrival_seconds)
        if overrides.get("recording") is False:
            record.stopped_at = now
        return run

    def copy_run(self, name: str, record_id: object) -> Run:
        """Create a run that replays a record, which must be stopped and not empty."""
        now, record = self.clock(), self.records.get(str(record_id))
        if record is None:
            raise ApiError(404, {"test_record_id": {"error": "not_found", "value": record_id}})
        if record.recording(now) or not record.baseline_count(now):
            error = "not_ready_for_cloning" if record.recording(now) else "empty"
            raise ApiError(400, {"test_record_id": {"error": error, "value": record_id}})
        run = Run(self._next_id("tr_", self._run_numbers), name, record, "cloning")
        self.runs[str(run.id)] = run
        return run

    def record(self, run_id: Id, count: int, over: float = 0.0) -> None:
        """Let `count` baselines arrive, evenly over so many seconds; after the stop, they are lost."""
        now, record = self.clock(), self.find(run_id).record
        if record.recording(now):
            record.arrivals += [now + over * number / count for number in range(1, count + 1)]

    def stop(self, run_id: Id) -> View:
        """Stop recording and return what the API shows of the run."""
        run, now = self.find(run_id), self.clock()
        if run.record.stopped_at == math.inf:
            run.record.stopped_at = now + self.rules.stop_delay
        elif self.rules.second_stop == "refuse" and not run.record.recording(now):
            raise ApiError(400, {"error": "not_recording", "value": run.id})
        return self._view(run, self.rules.omit_in_stop)

    def stop_record(self, record_id: Id) -> View:
        """Do the same by the id of the record."""
        for run in self.runs.values():
            if str(run.test_record_id) == str(record_id):
                return self.stop(run.id)
        raise ApiError(404, {"error": "test record not found"})

    def get(self, run_id: Id) -> View:
        return self._view(self.find(run_id), self.rules.omit_in_get)

    def find(self, run_id: Id) -> Run:
        if run := self.runs.get(str(run_id)):
            return run
        raise ApiError(404, {"error": "test run not found"})

    def _next_id(self, prefix: str, numbers: Iterator[int]) -> Id:
        return f"{prefix}{next(numbers)}" if self.rules.string_ids else next(numbers)

    def _view(self, run: Run, omit: Collection[str]) -> View:
        now, record = self.clock(), run.record
        recording = record.recording(now)
        view: View = {
            **_OTHER_FIELDS,
            "id": run.id,
            "name": run.name,
            "state": run.state,
            "simple_state": run.state,
            "allowed_actions": ["pause", "interrupt", *(["stop"] if recording else [])],
            "recording": recording,
            "ready_for_recording": recording,
            "baseline_count": record.baseline_count(now),
            "test_record_id": record.id if now >= record.named_at else None,
            **run.overrides,
        }
        return {name: value for name, value in view.items() if name not in omit}
