"""Several runs at once: fast, over few connections, each with its own result, in the order given."""

import itertools
import math

import pytest

from tests.conftest import AsProcess, InProcess, Ran
from tests.simulator import Simulator, faults

CONNECTIONS = 16


def ids_of(sim: Simulator, count: int) -> list[str]:
    """Return the ids of that many runs, the first one among them."""
    return ["5080", *(str(sim.state.create_run(f"run {n}").id) for n in range(1, count))]


def test_200_runs_take_at_most_twice_the_ideal_time(step: InProcess, sim: Simulator) -> None:
    """Timed from the start of main() to its end, in a process that has its imports behind it.

    The best of three, since other tests run beside this one.
    """
    ids = ids_of(sim, 200)
    sim.latency = 0.1
    ideal = math.ceil(200 / CONNECTIONS) * 0.1
    tries = (step("github", TEST_RUN_ID=",".join(ids), real_time=True) for _ in range(3))
    assert any(ran.exit_code == 0 and ran.seconds < 2 * ideal for ran in tries)


def test_200_runs_share_16_connections_and_are_told_in_order(step: InProcess, sim: Simulator) -> None:
    ids = ids_of(sim, 200)
    sim.latency = 0.05
    ran = step("github", TEST_RUN_ID=",".join(ids), real_time=True)
    assert ran.exit_code == 0
    assert sim.most_connections <= CONNECTIONS
    assert sim.connections == CONNECTIONS  # each was used again and again
    assert len(sim.calls) == 200
    assert [result["test_run_id"] for result in ran.results] == ids
    assert [result["test_record_id"] for result in ran.results] == [str(9058 + n) for n in range(200)]
    assert all(sim.state.get(test_run_id)["recording"] is False for test_run_id in ids)


def test_200_runs_over_tls_take_16_handshakes(step: InProcess, tls_sim: Simulator, ca_pem: str) -> None:
    ids = ids_of(tls_sim, 200)
    tls_sim.latency = 0.01
    env = {"WALLARM_API_HOST": tls_sim.url, "STOP_RECORDING_CA_CERT": ca_pem, "TEST_RUN_ID": " ".join(ids)}
    assert step("github", real_time=True, **env).exit_code == 0
    assert tls_sim.connections <= CONNECTIONS


def test_no_more_connections_than_runs(step: InProcess, sim: Simulator) -> None:
    ids = ids_of(sim, 3)
    sim.latency = 0.05
    assert step(TEST_RUN_ID=",".join(ids), real_time=True).exit_code == 0
    assert sim.connections <= 3


def test_two_ids_that_are_alike_are_stopped_once(step: InProcess, sim: Simulator) -> None:
    ran = step("github", TEST_RUN_ID="5080,5080 5080")
    assert len(ran.results) == 1
    assert len(sim.calls) == 1


def mixed(sim: Simulator) -> dict[str, str]:
    """Return the ids of one run for each thing that can happen, by that thing."""
    ids = dict(
        zip(
            ["good", "refused", "hanging", "down", "unnamed", "hostile", "already", "last"],
            ids_of(sim, 8),
            strict=True,
        )
    )
    sim.faults.add(faults.envelope(409, "busy", http=409), on="stop", run=ids["refused"], times=None)
    sim.faults.add(faults.silence(act=False), run=ids["hanging"], times=None)
    sim.faults.add(faults.answer(503), run=ids["down"], times=None)
    sim.state.find(ids["unnamed"]).overrides["test_record_id"] = None
    sim.state.find(ids["hostile"]).overrides["test_record_id"] = "../../x"
    sim.state.stop(ids["already"])
    sim.faults.add(faults.answer(400), on="stop", run=ids["already"], times=None)
    return ids | {"gone": "nope"}


STATUS_OF = {
    "good": None,
    "refused": "busy",
    "hanging": "time",  # it timed out, or time was up
    "down": "raise timeout",
    "unnamed": "named no test record",
    "hostile": "not an id",
    "already": None,
    "gone": "no such test run",
    "last": None,
}


def assert_all_told(ran: Ran, sim: Simulator, ids: dict[str, str], order: list[str]) -> None:
    assert [result["test_run_id"] for result in ran.results] == [ids[what] for what in order]
    for what, result in zip(order, ran.results, strict=True):
        said = STATUS_OF[what]
        if said is None:
            assert result["error"] is None
            assert result["recording"] is False
            assert result["already_stopped"] is (what == "already")
            assert sim.state.get(ids[what])["recording"] is False
        else:
            assert said in result["error"]
    failed = [what for what in order if STATUS_OF[what]]
    assert len(ran.errors) == len(failed)
    for what, error in zip(failed, ran.errors, strict=True):
        assert error.startswith(f"test run {ids[what]}: ")
    records = [sim.state.find(ids[what]).test_record_id for what in ("good", "already", "last")]
    assert {str(record) for record in records} <= set(ran.outputs["test_record_ids"].split('"'))


@pytest.mark.parametrize(
    ("first", "exit_code", "status"),
    [
        ("refused", 5, "refused"),
        ("hanging", 6, "unreachable"),
        ("unnamed", 7, "not_confirmed"),
        ("gone", 4, "not_found"),
    ],
)
def test_each_run_is_reported_rightly_and_in_order_and_the_first_failure_counts(
    first: str, exit_code: int, status: str, step: InProcess, sim: Simulator
) -> None:
    ids = mixed(sim)
    others = [what for what in ids if what not in (first, "good", "last")]
    order = ["good", first, *others, "last"]
    ran = step(
        "github",
        TEST_RUN_ID=",".join(ids[what] for what in order),
        STOP_RECORDING_TIMEOUT="1.2",
        real_time=True,
    )
    assert ran.exit_code == exit_code
    assert ran.outputs["status"] == status
    assert ran.seconds < 1.2 + 2
    assert_all_told(ran, sim, ids, order)


def test_a_process_with_all_kinds_of_runs_ends_in_time(process: AsProcess, sim: Simulator) -> None:
    ids = mixed(sim)
    order = list(ids)
    ran = process("github", TEST_RUN_ID=",".join(ids.values()), STOP_RECORDING_TIMEOUT="1.2")
    assert ran.exit_code == 5
    assert ran.seconds < 1.2 + 2
    assert_all_told(ran, sim, ids, order)


def test_more_hanging_runs_than_connections_still_end_in_time(step: InProcess, sim: Simulator) -> None:
    ids = ids_of(sim, 40)
    sim.faults.add(faults.silence(act=False, headers=False), times=None)
    ran = step("github", TEST_RUN_ID=",".join(ids), STOP_RECORDING_TIMEOUT="1", real_time=True)
    assert ran.exit_code == 6
    assert ran.seconds < 3
    assert len(ran.errors) == 40
    assert all(result["error"] for result in ran.results)


def test_a_run_that_fails_at_once_does_not_keep_the_others_from_being_stopped(
    step: InProcess, sim: Simulator
) -> None:
    ids = ids_of(sim, 40)
    for test_run_id in ids[::2]:
        sim.faults.add(faults.answer(400), run=test_run_id, times=None)
    ran = step("github", TEST_RUN_ID=",".join(ids))
    assert ran.exit_code == 5
    assert all(sim.state.get(test_run_id)["recording"] is False for test_run_id in ids[1::2])
    assert [bool(result["error"]) for result in ran.results] == [True, False] * 20
    assert ran.outputs["test_record_id"] == ""  # of the first run
    assert ran.outputs["test_record_ids"].count(",") == 19


def test_a_refused_token_is_told_of_each_run(step: InProcess, sim: Simulator) -> None:
    ran = step("github", TEST_RUN_ID=",".join(ids_of(sim, 5)), WALLARM_API_TOKEN="another")
    assert ran.exit_code == 3
    assert len(ran.errors) == 5


@pytest.mark.parametrize("order", list(itertools.permutations(["5080", "nope", "5081"])))
def test_the_outputs_are_those_of_the_first_run(
    order: tuple[str, ...], step: InProcess, sim: Simulator
) -> None:
    sim.state.create_run("second")
    ran = step("github", TEST_RUN_ID=" ".join(order))
    records = {"5080": "9058", "5081": "9059", "nope": ""}
    assert ran.exit_code == 4
    assert ran.outputs["test_record_id"] == records[order[0]]
    known = [f'"{records[test_run_id]}"' for test_run_id in order if records[test_run_id]]
    assert ran.outputs["test_record_ids"] == f"[{','.join(known)}]"


def test_a_run_is_not_kept_waiting_by_sixteen_that_wait(step: InProcess, sim: Simulator) -> None:
    waiting = [str(sim.state.create_run("x").id) for _ in range(16)]
    for run in waiting:
        sim.faults.add(faults.answer(503), on="stop", run=int(run), times=None)
    ran = step("github", TEST_RUN_ID=",".join([*waiting, "5080"]), STOP_RECORDING_TIMEOUT="4", real_time=True)
    assert ran.exit_code == 6
    assert ran.results[16]["recording"] is False
    last_stop = sim.calls.index("POST /v1/test_run/5080/action/stop")
    assert last_stop <= 17
