"""Test runs and test records, and the rules the API holds them to. Knows no HTTP."""

import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

Id = int | str
View = dict[str, object]
_BASELINE_CHECKS = ("all_terminated", "fail", "tech_fail", "passed", "running", "interrupted")
_COUNTS = (
    *(f"baseline_check_{outcome}_count" for outcome in _BASELINE_CHECKS),
    *("sended_requests_count", "planing_requests_count", "current_rps", "avg_rps"),
)


@dataclass(kw_only=True)
class Rules:
    """How this API behaves where the real one may go either way. May be changed while it runs."""

    baselines: int = 0  # recorded by every new run, arriving evenly over `arrival_seconds`
    arrival_seconds: float = 0.0
    string_ids: bool = False  # "tr_5080" and "rec_9058" in place of 5080 and 9058
    stop_delay: float = 0.0  # seconds from the stop call until `recording` is false
    second_stop: Literal["ok", "refuse"] = "ok"
    record_id_delay: float = 0.0  # seconds until a new run names its test record
    omit_in_stop: Collection[str] = ()  # fields left out of the answer to a stop
    omit_in_get: Collection[str] = ()
    stop_call_unknown: Literal[404, 405] | None = None  # what the stop by run answers when not known
    bad_token_status: Literal[401, 403] = 403


class ApiError(Exception):
    """A request that cannot be done; `body` is the API's word on it."""

    def __init__(self, body: object) -> None:
        """Keep the body."""
        super().__init__(body)
        self.body = body


class NotFoundError(ApiError):
    """The run or the record does not exist."""


class RefusedError(ApiError):
    """It exists, but its state does not allow this, or the request makes no sense."""


@dataclass
class Record:
    """A test record: the baselines that arrived while it was recording."""

    id: Id
    known_at: float  # from when on the API names it
    arrivals: list[float] = field(default_factory=list)
    stopped_at: float = math.inf

    def recording(self, now: float) -> bool:
        """Whether baselines that arrive now are kept."""
        return now < self.stopped_at

    def baseline_count(self, now: float) -> int:
        """Baselines arrived by now; the count is frozen at the stop, later ones are lost."""
        return sum(arrival <= min(now, self.stopped_at) for arrival in self.arrivals)


@dataclass
class Run:
    """A test run; `overrides` are fields the API shows in place of the true ones."""

    id: Id
    name: str
    record: Record
    state: str = "running"
    overrides: View = field(default_factory=dict)

    @property
    def test_record_id(self) -> Id:
        """The id of its record, whether the API names it yet or not."""
        return self.record.id


class State:
    """All runs and records. Safe to use from several threads."""

    def __init__(self, rules: Rules | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty; every rule in seconds is counted on `clock`."""
        self.rules = rules or Rules()
        self.clock = clock
        self.runs: dict[str, Run] = {}
        self.records: dict[str, Record] = {}
        self._lock = threading.RLock()

    def create_run(self, name: str, **overrides: object) -> Run:
        """Create a recording run. `id=` chooses its id, `recording=False` creates it stopped."""
        with self._lock:
            now = self.clock()
            record = Record(self._new_id("rec_", 9058, self.records), now + self.rules.record_id_delay)
            self.records[str(record.id)] = record
            run = self._add_run(name, record, overrides)
            self.record(run.id, self.rules.baselines, over=self.rules.arrival_seconds)
            if overrides.get("recording") is False:
                record.stopped_at = now
            return run

    def copy_run(self, name: str, record_id: object) -> Run:
        """Create a run that replays a stopped, non-empty record."""
        with self._lock:
            now = self.clock()
            record = self.records.get(str(record_id))
            if record is None:
                raise NotFoundError({"test_record_id": {"error": "not_found", "value": record_id}})
            if record.recording(now):
                raise RefusedError({"test_record_id": {"error": "not_ready_for_cloning", "value": record_id}})
            if not record.baseline_count(now):
                raise RefusedError({"test_record_id": {"error": "empty", "value": record_id}})
            return self._add_run(name, record, {}, state="cloning")

    def record(self, run_id: Id, count: int, over: float = 0.0) -> None:
        """Let `count` baselines arrive, evenly over so many seconds. Once stopped, all of them are lost."""
        with self._lock:
            now, record = self.clock(), self.find(run_id).record
            if record.recording(now):
                record.arrivals += [now + over * number / count for number in range(1, count + 1)]

    def stop(self, run_id: Id) -> View:
        """Stop the recording of a run and show the run."""
        with self._lock:
            run, now = self.find(run_id), self.clock()
            if run.record.stopped_at == math.inf:
                run.record.stopped_at = now + self.rules.stop_delay
            elif self.rules.second_stop == "refuse" and not run.record.recording(now):
                raise RefusedError({"error": "not_recording", "value": run.id})
            return self._view(run, self.rules.omit_in_stop)

    def stop_record(self, record_id: Id) -> View:
        """Stop the same by the id of the record, and show the run that recorded it."""
        with self._lock:
            for run in self.runs.values():
                if str(run.test_record_id) == str(record_id):
                    return self.stop(run.id)
            raise NotFoundError({"error": "test record not found"})

    def get(self, run_id: Id) -> View:
        """Show a run."""
        with self._lock:
            return self._view(self.find(run_id), self.rules.omit_in_get)

    def get_all(self) -> list[View]:
        """Show every run, oldest first."""
        with self._lock:
            return [self._view(run, self.rules.omit_in_get) for run in self.runs.values()]

    def find(self, run_id: Id) -> Run:
        """Return the run itself; NotFoundError if there is none."""
        try:
            return self.runs[str(run_id)]
        except KeyError:
            raise NotFoundError({"error": "test run not found"}) from None

    def _add_run(self, name: str, record: Record, overrides: View, state: str = "running") -> Run:
        run_id = overrides.get("id") or self._new_id("tr_", 5080, self.runs)
        if not isinstance(run_id, (int, str)):
            raise TypeError(f"not an id: {run_id!r}")
        run = self.runs[str(run_id)] = Run(run_id, name, record, state, overrides)
        return run

    def _new_id(self, prefix: str, first: int, taken: Collection[str]) -> Id:
        number = first + len(taken)
        return f"{prefix}{number}" if self.rules.string_ids else number

    def _view(self, run: Run, omit: Collection[str]) -> View:
        now, record = self.clock(), run.record
        recording = record.recording(now)
        view: View = dict.fromkeys(_COUNTS, 0) | {
            "id": run.id,
            "name": run.name,
            "clientid": 4,
            "state": run.state,
            "simple_state": run.state,
            "allowed_actions": ["pause", "interrupt", *(["stop"] if recording else [])],
            "vulns": [],
            "start_time": 1531316470,
            "end_time": None,
            "domains": ["example.com"],
            "baseline_count": record.baseline_count(now),
            "estimated_time_to_completion": None,
            "node_active": True,
            "ready_for_recording": recording,
            "recording": recording,
            "test_record_id": record.id if now >= record.known_at else None,
        }
        return {name: value for name, value in (view | run.overrides).items() if name not in omit}
