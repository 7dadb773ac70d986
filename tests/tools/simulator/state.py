"""Nodes, their test runs and test records, and the rules that the API applies to them. Knows no HTTP."""

import itertools
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

Id = int | str
View = dict[str, object]
# What else the API shows of a run, none of which depends on what the run does.
_OTHER_FIELDS: View = {
    "clientid": 4, "start_time": 1531316470, "end_time": None, "domains": ["example.com"],
    "current_rps": 0, "avg_rps": 0,
    "sended_requests_count": 0, "planing_requests_count": 0,
}  # fmt: skip
_CHECKS = ("all_terminated", "fail", "tech_fail", "passed", "running", "waiting", "interrupted")


@dataclass(kw_only=True)
class Rules:
    """How this API behaves where the real one may go either way. May be changed while it runs."""

    baselines: int = 0  # recorded by each new run, arriving evenly over `arrival_seconds`
    arrival_seconds: float = 0.0
    stop_delay: float = 0.0  # seconds from the stop call until `recording` is false
    record_id_delay: float = 0.0  # seconds until a new run names its test record
    omit_in_stop: Collection[str] = ()  # fields left out of the answer to a stop
    omit_in_create: Collection[str] = ()  # the same, of the answer to a create or a copy
    omit_in_get: Collection[str] = ()
    overrides: View = field(default_factory=dict)  # fields shown of every run instead of the true ones
    stop_call_unknown: Literal[404, 405] | None = None  # what the stop by run answers if the API lacks it
    node_active: bool = True  # a container runs: without one no run gets ready and no security test ends
    ready_delay: float = 0.0  # seconds until the node is ready to record a new run, or to test a copied one
    test_seconds: float = math.inf  # from the stop, or from when a copied run is ready, until its tests end
    vulns: Sequence[View] = ()  # what the security tests find


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
    """A test run.

    `overrides` are fields that the API shows instead of the true ones, `request` is what the run was made of.
    """

    id: Id
    name: str
    record: Record
    node: str | None  # None: a node of its own
    ready_at: float
    copied: bool = False
    interrupted: bool = False
    overrides: View = field(default_factory=dict)
    request: View = field(default_factory=dict)

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

    def create_run(
        self,
        name: str,
        id: Id | None = None,  # noqa: A002
        *,
        node: str | None = None,
        **overrides: object,
    ) -> Run:
        """Create a run that is recording, or with `recording=False` one that is stopped."""
        now, record_id = self.clock(), next(self._record_numbers)
        record = self.records[str(record_id)] = Record(record_id, now + self.rules.record_id_delay)
        ready_at = now + self.rules.ready_delay
        run_id = id or next(self._run_numbers)
        run = Run(run_id, name, record, node, ready_at, overrides=overrides)
        self._start(run)
        self.record(run.id, self.rules.baselines, over=self.rules.arrival_seconds, since=ready_at)
        if overrides.get("recording") is False:
            record.stopped_at = now
        return run

    def copy_run(self, name: str, record_id: object, node: str | None = None) -> Run:
        """Create a run that replays a record, which must be stopped and not empty."""
        now, record = self.clock(), self.records.get(str(record_id))
        if record is None:
            raise ApiError(404, {"test_record_id": {"error": "not_found", "value": record_id}})
        if record.recording(now) or not record.baseline_count(now):
            error = "not_ready_for_cloning" if record.recording(now) else "empty"
            raise ApiError(400, {"test_record_id": {"error": error, "value": record_id}})
        ready_at = now + self.rules.ready_delay
        return self._start(Run(next(self._run_numbers), name, record, node, ready_at, copied=True))

    def record(self, run_id: Id, count: int, over: float = 0.0, since: float | None = None) -> None:
        """Let `count` baselines arrive, evenly over so many seconds; after the stop, they are lost."""
        now, record = self.clock(), self.find(run_id).record
        if record.recording(now):
            since = now if since is None else since
            record.arrivals += [since + over * number / count for number in range(1, count + 1)]

    def start_container(self, node: str) -> None:
        """Start a container of the node. A second one aborts the run that is in progress."""
        if self.rules.node_active:
            self._abort_run_on(node)
        self.rules.node_active = True

    def send_through(self, node: str) -> None:
        """Send a request through the node. It is a baseline if the node's run is ready for it, else lost."""
        for run in list(self.runs.values()):
            if run.node == node and self._ready(run):
                self.record(run.id, 1, over=self.rules.arrival_seconds)

    def stop(self, run_id: Id) -> View:
        """Stop recording and return what the API shows of the run."""
        run = self.find(run_id)
        if run.record.stopped_at == math.inf:
            run.record.stopped_at = self.clock() + self.rules.stop_delay
        return self._view(run, self.rules.omit_in_stop)

    def stop_record(self, record_id: Id) -> View:
        """Do the same by the id of the record."""
        for run in self.runs.values():
            if str(run.test_record_id) == str(record_id):
                return self.stop(run.id)
        raise ApiError(404, {"error": "test record not found"})

    def state_of(self, run: Run) -> str:
        """Return the state of a run. `interrupted`, `passed` and `failed` are final."""
        if run.interrupted:
            return "interrupted"
        if not self._ready(run):
            return "cloning" if run.copied else "running"
        if self.clock() < self._tests_end_at(run):
            return "running"
        return "failed" if self.rules.vulns else "passed"

    def get(self, run_id: Id) -> View:
        return self._view(self.find(run_id), self.rules.omit_in_get)

    def get_created(self, run_id: Id) -> View:
        """Return what the answer to a create shows of the run."""
        return self._view(self.find(run_id), self.rules.omit_in_create)

    def find(self, run_id: Id) -> Run:
        if run := self.runs.get(str(run_id)):
            return run
        raise ApiError(404, {"error": "test run not found"})

    def _start(self, run: Run) -> Run:
        """Start the run on its node, which aborts the one that is in progress there."""
        if run.node is not None:
            self._abort_run_on(run.node)
        self.runs[str(run.id)] = run
        return run

    def _abort_run_on(self, node: str) -> None:
        for run in list(self.runs.values()):
            if run.node == node and self.state_of(run) in {"cloning", "running"}:
                run.interrupted = True
                run.record.stopped_at = min(run.record.stopped_at, self.clock())

    def _tests_end_at(self, run: Run) -> float:
        return (run.ready_at if run.copied else run.record.stopped_at) + self.rules.test_seconds

    def _ready(self, run: Run) -> bool:
        return self.rules.node_active and self.clock() >= run.ready_at

    def _view(self, run: Run, omit: Collection[str]) -> View:
        now, record, state = self.clock(), run.record, self.state_of(run)
        recording, count = record.recording(now), record.baseline_count(now)
        end = self._tests_end_at(run)
        found = list(self.rules.vulns) if state == "failed" else []
        fails = min(len(found), count)
        checks = dict.fromkeys(_CHECKS, 0)
        checks[{"cloning": "waiting", "failed": "passed"}.get(state, state)] = count - fails
        checks |= {"fail": fails, "all_terminated": 0 if state in {"cloning", "running"} else count}
        view: View = {
            **_OTHER_FIELDS,
            **{f"baseline_check_{kind}_count": number for kind, number in checks.items()},
            "id": run.id,
            "name": run.name,
            "state": state,
            "simple_state": state,
            "allowed_actions": ["pause", "interrupt", *(["stop"] if recording else [])],
            "vulns": found,
            "estimated_time_to_completion": math.ceil(end - now) if now < end < math.inf else None,
            "recording": recording,
            "node_active": self.rules.node_active,
            "ready_for_recording": recording and self._ready(run),
            "baseline_count": count,
            "test_record_id": record.id if now >= record.named_at else None,
            **self.rules.overrides,
            **run.overrides,
        }
        return {name: value for name, value in view.items() if name not in omit}
