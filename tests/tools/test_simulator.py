"""What other tests rely on: the simulator follows the API's rules."""

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from tests.harness import LOOK, ROOT, SOON, STOP, STOP_BY_RECORD, TOKEN, FakeClock
from tests.tools.simulator import Simulator, faults

CREATE = "POST /v1/test_run"


def ask(sim: Simulator, call: str, token: str = TOKEN, **body: object) -> tuple[int, Any]:
    """Make a call; return its status, which the envelope must repeat, and the body."""
    method, path = call.split()
    answer = httpx.request(method, sim.url + path, json=body or None, headers={"X-WallarmApi-Token": token})
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["body"]


def send_through(sim: Simulator) -> None:
    """Send a request to some application, with the simulator as its proxy."""
    assert httpx.get("http://app.example/", proxy=sim.url).status_code == 200


def test_a_run_records_until_it_is_stopped_and_loses_what_arrives_later() -> None:
    clock = FakeClock()
    with Simulator(clock=clock.monotonic, baselines=3, arrival_seconds=3, stop_delay=1) as sim:
        status, run = ask(sim, CREATE, name="demo")
        assert status == 201
        assert run["id"] == 5080
        assert run["test_record_id"] == 9058
        assert run["name"] == "demo"
        assert run["recording"] is True
        assert run["state"] == "running"
        assert run["baseline_count"] == 0
        clock.now += 1
        assert ask(sim, STOP)[1].items() >= {"recording": True, "baseline_count": 1}.items()
        clock.now += 60
        sim.state.record(5080, 1)
        run = ask(sim, LOOK)[1]
        assert run["recording"] is False
        assert run["state"] == "running"
        assert run["baseline_count"] == 2
        assert ask(sim, LOOK) == ask(sim, STOP) == ask(sim, STOP_BY_RECORD) == (200, run)
        assert ask(sim, "GET /v1/test_run") == (200, [run])


def test_only_a_stopped_record_with_baselines_can_be_copied(sim: Simulator) -> None:
    problem = {"error": "not_ready_for_cloning", "value": 9058}
    assert ask(sim, CREATE, name="copy", test_record_id=9058) == (400, {"test_record_id": problem})
    sim.state.stop("5080")
    sim.state.rules.ready_delay = 60
    status, run = ask(sim, CREATE, name="copy", test_record_id="9058")
    assert status == 201
    assert run["id"] == 5081
    assert run["test_record_id"] == 9058
    assert run["state"] == "cloning"
    sim.state.rules.baselines = 0
    sim.state.create_run("empty", recording=False)
    assert ask(sim, CREATE, name="copy", test_record_id=9059)[1]["test_record_id"]["error"] == "empty"
    assert ask(sim, CREATE, name="copy", test_record_id=1)[0] == 404


@pytest.mark.parametrize("body", [{"name": "new"}, {"name": "copy", "test_record_id": 9058}], ids=str)
def test_a_new_run_aborts_the_run_that_is_in_progress_on_its_node_and_no_other(body: dict[str, Any]) -> None:
    def states() -> list[tuple[str, bool]]:
        return [(run["state"], run["recording"]) for run in ask(sim, "GET /v1/test_run")[1]]

    with Simulator(baselines=1, other_tokens=["token_other"]) as sim:
        for token in (TOKEN, "token_other"):
            ask(sim, CREATE, token, name="before")
        ask(sim, STOP)
        ask(sim, CREATE, **body)
        assert states()[:2] == [("interrupted", False), ("running", True)]
        ask(sim, CREATE, "token_other", name="next")
        assert states()[1] == ("interrupted", False)
        ask(sim, STOP.replace("5080", "5083"))
        sim.state.rules.test_seconds = 0
        ask(sim, CREATE, "token_other", name="last")
        assert states()[3] == ("passed", False)


def test_the_tokens_of_an_account_may_stop_each_other_s_runs_and_no_other_token_may() -> None:
    with Simulator(other_tokens=["token_other"]) as sim:
        ask(sim, CREATE, name="demo")
        assert ask(sim, STOP, "token_of_nobody") == (403, "User not authenticated")
        assert ask(sim, STOP, "token_other")[1]["recording"] is False


def test_a_second_container_of_a_node_aborts_its_run_and_the_first_does_not() -> None:
    with Simulator(node_active=False, other_tokens=["token_other"]) as sim:
        run = ask(sim, CREATE, name="demo")[1]
        assert (run["node_active"], run["ready_for_recording"]) == (False, False)
        assert ask(sim, "POST /node") == (200, {})
        run = ask(sim, LOOK)[1]
        assert (run["node_active"], run["ready_for_recording"]) == (True, True)
        ask(sim, "POST /node", "token_other")
        assert ask(sim, LOOK)[1]["state"] == "running"
        ask(sim, "POST /node")
        run = ask(sim, LOOK)[1]
        assert (run["state"], run["recording"]) == ("interrupted", False)


def test_fields_may_be_missing_from_an_answer_or_null() -> None:
    null = {"ready_for_recording": None}
    with Simulator(omit_in_create=["node_active"], omit_in_get=["recording"], overrides=null) as sim:
        created = ask(sim, CREATE, name="demo")[1]
        assert "node_active" not in created
        assert created["recording"] is True
        assert created["ready_for_recording"] is None
        run = ask(sim, LOOK)[1]
        assert "recording" not in run
        assert run["node_active"] is True
        assert run["ready_for_recording"] is None


def test_a_run_remembers_what_it_was_made_of() -> None:
    with Simulator() as sim:
        ask(sim, CREATE, name="demo", rps=10, test_record_name="baselines")
        assert sim.state.find(5080).request == {"name": "demo", "rps": 10, "test_record_name": "baselines"}


def test_requests_through_the_node_are_baselines_once_it_is_ready_and_are_then_tested() -> None:
    clock = FakeClock()
    with Simulator(
        clock=clock.monotonic, baselines=1, ready_delay=60, arrival_seconds=1, test_seconds=30
    ) as sim:
        sim.state.rules.vulns = [{"id": 1, "threat": 80, "code": "WLRM-1", "type": "xss"}]
        ask(sim, CREATE, name="demo")
        send_through(sim)
        assert ask(sim, LOOK)[1]["ready_for_recording"] is False
        clock.now += 60
        run = ask(sim, LOOK)[1]
        assert (run["ready_for_recording"], run["baseline_count"]) == (True, 0)
        send_through(sim)
        send_through(sim)
        clock.now += 1
        run = ask(sim, STOP)[1]
        assert run["state"] == "running"
        assert run["baseline_count"] == 3
        assert run["ready_for_recording"] is False
        assert run["vulns"] == []
        assert run["baseline_check_running_count"] == 3
        clock.now += 30
        run = ask(sim, LOOK)[1]
        assert run["state"] == "failed"
        assert run["vulns"] == sim.state.rules.vulns
        assert run["baseline_check_fail_count"] == 1
        assert run["baseline_check_passed_count"] == 2


@pytest.mark.parametrize(
    ("active", "states"), [(True, ["cloning", "running", "passed"]), (False, ["cloning"] * 3)]
)
def test_a_copied_run_is_tested_only_while_the_node_is_active(active: bool, states: list[str]) -> None:
    clock = FakeClock()
    with Simulator(clock=clock.monotonic, baselines=1, test_seconds=30) as sim:
        sim.state.create_run("demo", recording=False)
        sim.state.rules.ready_delay, sim.state.rules.node_active = 60, active
        seen = [ask(sim, CREATE, name="copy", test_record_id=9058)[1]["state"]]
        for seconds in (60, 30):
            clock.now += seconds
            seen.append(ask(sim, "GET /v1/test_run/5081")[1]["state"])
        assert seen == states


def test_a_call_that_the_api_refuses_changes_nothing(sim: Simulator) -> None:
    before = sim.state.get(5080)
    unknown = ["GET /v2/test_run", STOP.replace("stop", "pause"), STOP.replace("5080", "1")]
    wrong = ["DELETE /v1/test_run", LOOK.replace("GET", "POST"), STOP.replace("POST", "GET")]
    assert [ask(sim, call)[0] for call in [*unknown, *wrong, CREATE]] == [404] * 3 + [405] * 3 + [400]
    assert ask(sim, STOP, token="other") == (403, "User not authenticated")
    assert sim.state.get(5080) == before
    assert len(sim.state.runs) == 1


def test_a_reset_is_not_an_orderly_close(sim: Simulator) -> None:
    sim.faults.add(faults.reset_after())
    with socket.create_connection(("127.0.0.1", sim.server_address[1])) as client:
        client.sendall(f"{STOP} HTTP/1.1\r\nX-WallarmAPI-Token: {TOKEN}\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_an_envelope_may_have_another_status_than_its_answer(sim: Simulator) -> None:
    sim.faults.add(faults.envelope(423, "busy", http=201))
    answer = httpx.get(sim.url)
    assert answer.status_code == 201
    assert answer.json() == {"status": 423, "body": "busy"}


@contextmanager
def on_its_own(folder: Path, *options: str) -> Iterator[str]:
    """Start the simulator as a program in a folder; give its URL."""
    command = [sys.executable, str(ROOT / "tests/tools/simulator"), *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().removeprefix("simulator listening on ").rstrip()
        finally:
            process.terminate()
        assert process.wait(SOON) == 0


def test_it_runs_on_its_own_with_tls_until_a_signal(tmp_path: Path, ca: trustme.CA) -> None:
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "pem"))
    options = ["--latency=0.1", "--tls-cert=pem", "--log=log", "--url-file=url"]
    with on_its_own(tmp_path, *options) as url:
        assert (tmp_path / "url").read_text() == url
        trust = ssl.create_default_context()
        ca.configure_trust(trust)
        began, headers = time.monotonic(), {"X-WallarmAPI-Token": TOKEN}
        answer = httpx.get(f"{url}/v1/{TOKEN}", headers=headers, verify=trust)
        assert answer.status_code == 404
        assert time.monotonic() - began >= 0.1
        assert (tmp_path / "log").read_text() == "GET /v1/*** 404\n"


def test_on_its_own_it_may_have_no_node(tmp_path: Path) -> None:
    with on_its_own(tmp_path, "--no-node") as url:
        headers = {"X-WallarmAPI-Token": TOKEN}
        run = httpx.post(f"{url}/v1/test_run", json={"name": "demo"}, headers=headers).json()["body"]
        assert run["node_active"] is False
        assert run["ready_for_recording"] is False


def test_on_its_own_it_may_find_a_vulnerability(tmp_path: Path) -> None:
    with on_its_own(tmp_path, "--vulnerability=70", "--baselines=1", "--test-seconds=0") as url:
        headers = {"X-WallarmAPI-Token": TOKEN}
        for path in ("test_run", "test_run/5080/action/stop"):
            httpx.post(f"{url}/v1/{path}", json={"name": "demo"}, headers=headers)
        run = httpx.get(f"{url}/v1/test_run/5080", headers=headers).json()["body"]
        assert run["state"] == "failed"
        assert [vulnerability["threat"] for vulnerability in run["vulns"]] == [70]


def test_a_port_that_is_in_use_is_an_error_in_a_sentence(sim: Simulator) -> None:
    port = sim.server_address[1]
    command = [sys.executable, str(ROOT / "tests/tools/simulator"), f"--port={port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SOON, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
