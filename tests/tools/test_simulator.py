"""The simulator keeps the API's rules, and its faults reach the client."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, Literal

import httpx
import pytest
import trustme

from tests.simulator import Exchange, Simulator, faults

TOKEN = "token_Qwe12345"
ROOT = Path(__file__).parents[1]
Reply = tuple[int, Any]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sim(clock: Clock) -> Iterator[Simulator]:
    with Simulator(token=TOKEN, clock=clock) as simulator:
        yield simulator


@pytest.fixture
def client(sim: Simulator) -> Iterator[httpx.Client]:
    with connect(sim) as http:
        yield http


def connect(sim: Simulator, trust: ssl.SSLContext | None = None, token: str = TOKEN) -> httpx.Client:
    headers = {"X-WallarmApi-Token": token}
    return httpx.Client(base_url=sim.url, headers=headers, verify=trust or False, timeout=5, trust_env=False)


def call(client: httpx.Client, method: str, path: str, body: bytes = b"") -> Reply:
    answer = client.request(method, path, content=body)
    envelope = answer.json()
    assert envelope["status"] == answer.status_code
    return answer.status_code, envelope["body"]


def create(client: httpx.Client, **sent: object) -> Reply:
    return call(client, "POST", "/v1/test_run", json.dumps({"name": "demo", **sent}).encode())


def get(client: httpx.Client, run: object = 5080) -> dict[str, Any]:
    status, shown = call(client, "GET", f"/v1/test_run/{run}")
    assert (status, type(shown)) == (200, dict)
    return dict(shown)


def stop(client: httpx.Client, run: object = 5080) -> Reply:
    return call(client, "POST", f"/v1/test_run/{run}/action/stop")


# --- Runs and records ---


def test_a_new_run_records_into_a_new_record(client: httpx.Client) -> None:
    status, run = create(client)
    assert status == 201
    assert (run["id"], run["test_record_id"], run["name"]) == (5080, 9058, "demo")
    assert (run["recording"], run["state"], run["baseline_count"]) == (True, "running", 0)
    assert create(client)[1]["test_record_id"] == 9059
    assert [run["id"] for run in call(client, "GET", "/v1/test_run")[1]] == [5080, 5081]


def test_ids_can_be_the_strings_of_the_docs(sim: Simulator, client: httpx.Client) -> None:
    sim.state.rules.string_ids = True
    assert create(client)[1]["id"] == "tr_5080"
    assert stop(client, "tr_5080")[1]["test_record_id"] == "rec_9058"


@pytest.mark.parametrize(
    "sent", [b"", b"{", b"[]", b"{}", b'{"name": ""}', b'{"name": 1}'], ids=lambda sent: sent.decode()
)
def test_a_run_without_a_name_is_refused(client: httpx.Client, sent: bytes) -> None:
    assert call(client, "POST", "/v1/test_run", sent)[0] == 400


def test_a_stop_turns_recording_off_and_leaves_the_run_running(client: httpx.Client) -> None:
    create(client)
    status, run = stop(client)
    assert status == 200
    assert (run["id"], run["recording"], run["state"], run["test_record_id"]) == (
        5080,
        False,
        "running",
        9058,
    )
    assert get(client)["recording"] is False


def test_a_run_can_be_stopped_by_its_record(client: httpx.Client) -> None:
    create(client)
    status, run = call(client, "POST", "/v1/test_record/9058/action/stop")
    assert (status, run["id"], run["recording"]) == (200, 5080, False)
    assert call(client, "POST", "/v1/test_record/1/action/stop")[0] == 404


def test_a_slow_stop_is_accepted_before_recording_turns_off(
    sim: Simulator, client: httpx.Client, clock: Clock
) -> None:
    sim.state.rules.stop_delay = 3
    sim.state.rules.second_stop = "refuse"
    create(client)
    assert stop(client)[1]["recording"] is True
    clock.now += 2.9
    assert stop(client)[1]["recording"] is True
    clock.now += 0.1
    assert get(client)["recording"] is False
    assert stop(client) == (400, {"error": "not_recording", "value": 5080})


def test_a_second_stop_is_accepted_unless_told_otherwise(client: httpx.Client) -> None:
    create(client)
    assert stop(client) == stop(client)


def test_the_record_can_be_named_late(sim: Simulator, client: httpx.Client, clock: Clock) -> None:
    sim.state.rules.record_id_delay = 2
    create(client)
    assert stop(client)[1]["test_record_id"] is None
    clock.now += 2
    assert get(client)["test_record_id"] == 9058


def test_fields_can_be_left_out(sim: Simulator, client: httpx.Client) -> None:
    create(client)
    sim.state.rules.omit_in_stop = {"test_record_id", "baseline_count"}
    sim.state.rules.omit_in_get = {"recording"}
    assert not {"test_record_id", "baseline_count"} & stop(client)[1].keys()
    assert "recording" not in get(client)
    assert "test_record_id" in get(client)


def test_a_run_can_be_made_to_say_anything(sim: Simulator, client: httpx.Client) -> None:
    run = sim.state.create_run(
        "odd", id="x-1", state="failed", test_record_id="::error::", baseline_count=None
    )
    shown = get(client, "x-1")
    assert (run.id, run.test_record_id) == ("x-1", 9058)
    assert (shown["state"], shown["test_record_id"], shown["baseline_count"]) == ("failed", "::error::", None)


def test_a_run_can_be_created_stopped(sim: Simulator, client: httpx.Client) -> None:
    sim.state.rules.second_stop = "refuse"
    run = sim.state.create_run("done", recording=False)
    assert stop(client, run.id)[0] == 400


# --- Baselines ---


def test_baselines_arrive_late_and_those_after_the_stop_are_lost(clock: Clock) -> None:
    with Simulator(clock=clock, baselines=3, arrival_seconds=3) as sim, connect(sim) as client:
        create(client)
        assert get(client)["baseline_count"] == 0
        clock.now += 1
        assert get(client)["baseline_count"] == 1
        clock.now += 1
        assert stop(client)[1]["baseline_count"] == 2
        clock.now += 60
        assert get(client)["baseline_count"] == 2


def test_baselines_can_be_added_until_the_stop(sim: Simulator, client: httpx.Client, clock: Clock) -> None:
    run = sim.state.create_run("demo")
    sim.state.record(run.id, 5)
    sim.state.record(run.id, 2, over=4)
    assert get(client)["baseline_count"] == 5
    clock.now += 4
    assert stop(client)[1]["baseline_count"] == 7
    sim.state.record(run.id, 1)
    assert get(client)["baseline_count"] == 7


# --- Copies ---


@pytest.mark.parametrize("kind", [int, str])
def test_a_stopped_record_with_baselines_can_be_copied(
    sim: Simulator, client: httpx.Client, kind: type
) -> None:
    sim.state.rules.baselines = 4
    record_id = create(client)[1]["test_record_id"]
    stop(client)
    status, run = create(client, test_record_id=kind(record_id))
    assert (status, run["id"], run["test_record_id"]) == (201, 5081, 9058)
    assert (run["state"], run["recording"], run["baseline_count"]) == ("cloning", False, 4)


def test_a_record_cannot_be_copied_while_it_records(sim: Simulator, client: httpx.Client) -> None:
    sim.state.rules.baselines = 4
    create(client)
    refusal = {"test_record_id": {"error": "not_ready_for_cloning", "value": 9058}}
    assert create(client, test_record_id=9058) == (400, refusal)


def test_an_empty_record_cannot_be_copied(client: httpx.Client) -> None:
    create(client)
    stop(client)
    refusal = {"test_record_id": {"error": "empty", "value": "9058"}}
    assert create(client, test_record_id="9058") == (400, refusal)


def test_an_unknown_record_cannot_be_copied(client: httpx.Client) -> None:
    refusal = {"test_record_id": {"error": "not_found", "value": 1}}
    assert create(client, test_record_id=1) == (404, refusal)


# --- Refusals ---


@pytest.mark.parametrize("token", ["", "other", TOKEN + "x"])
def test_another_token_is_refused_and_changes_nothing(sim: Simulator, token: str) -> None:
    sim.state.create_run("demo")
    with connect(sim, token=token) as stranger:
        assert stop(stranger) == (403, "User not authenticated")
        sim.state.rules.bad_token_status = 401
        assert stop(stranger) == (401, "User not authenticated")
    assert sim.state.get(5080)["recording"] is True


def test_an_unknown_run_is_not_found(client: httpx.Client) -> None:
    assert stop(client, 1) == (404, {"error": "test run not found"})
    assert call(client, "GET", "/v1/test_run/1") == (404, {"error": "test run not found"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/test_run", 404),
        ("POST", "/v1/test_run/5080/action/pause", 404),
        ("DELETE", "/v1/test_run", 405),
        ("POST", "/v1/test_run/5080", 405),
        ("GET", "/v1/test_run/5080/action/stop", 405),
        ("GET", "/v1/test_record/9058/action/stop", 405),
    ],
)
def test_unknown_calls_and_wrong_methods_are_told_apart(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    create(client)
    assert call(client, method, path)[0] == status
    assert get(client)["recording"] is True


@pytest.mark.parametrize("status", [404, 405])
def test_the_stop_by_run_can_be_unknown_while_that_by_record_works(clock: Clock, status: int) -> None:
    with Simulator(clock=clock, stop_call_unknown=status) as sim, connect(sim) as client:
        create(client)
        assert stop(client)[0] == status
        assert get(client)["recording"] is True
        assert call(client, "POST", "/v1/test_record/9058/action/stop")[1]["recording"] is False


def test_a_misspelt_rule_is_an_error() -> None:
    with pytest.raises(TypeError, match="basline"):
        Simulator(baslines=3)


# --- Connections ---


def test_connections_are_kept_and_requests_noted(sim: Simulator, client: httpx.Client) -> None:
    create(client)
    get(client)
    assert sim.calls == ["POST /v1/test_run", "GET /v1/test_run/5080"]
    assert sim.requests[0].headers["x-wallarmapi-token"] == TOKEN
    assert sim.requests[0].body == b'{"name": "demo"}'
    assert [request.connection for request in sim.requests] == [1, 1]
    assert (sim.connections, sim.most_connections) == (1, 1)


def test_two_hundred_clients_are_served_at_once(sim: Simulator) -> None:
    sim.state.create_run("demo")
    everyone, answers = Barrier(200), []

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", int(sim.host.rpartition(":")[2]))) as client:
            everyone.wait()
            client.sendall(f"GET /v1/test_run/5080 HTTP/1.1\r\nX-WallarmAPI-Token: {TOKEN}\r\n\r\n".encode())
            answers.append(client.recv(15))

    clients = [Thread(target=ask) for _ in range(200)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert answers == [b"HTTP/1.1 200 OK"] * 200
    assert sim.connections == 200
    assert len(sim.requests) == 200


def test_the_most_connections_open_at_once_are_counted(sim: Simulator) -> None:
    with connect(sim) as one, connect(sim) as two:
        assert call(one, "GET", "/v1/test_run") == call(two, "GET", "/v1/test_run")
    assert (sim.connections, sim.most_connections) == (2, 2)


def test_ipv6_is_served() -> None:
    with Simulator(host="::1") as sim, connect(sim) as client:
        assert sim.url.startswith("http://[::1]:")
        assert create(client)[0] == 201


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_tls_is_served_and_survives_a_client_that_does_not_trust_it(
    tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    with Simulator(tls=tls) as sim:
        assert sim.url == f"https://{sim.host}"
        with connect(sim, ssl.create_default_context()) as stranger, pytest.raises(httpx.ConnectError):
            create(stranger)
        with connect(sim, trust) as client:
            assert create(client)[0] == 201
            assert stop(client)[0] == 200
        assert [request.connection for request in sim.requests] == [2, 2]


def test_latency_is_waited_before_each_answer() -> None:
    with Simulator(latency=0.1) as sim, connect(sim) as client:
        began = time.monotonic()
        create(client)
        assert time.monotonic() - began >= 0.1


def test_the_log_has_a_line_a_request_and_never_the_token() -> None:
    lines: list[str] = []
    with Simulator(token=TOKEN, log=lines.append) as sim, connect(sim) as client:
        create(client)
        client.get(f"/v1/{TOKEN}")
        sim.faults.add(faults.answer(500))
        client.get("/v1/test_run")
    assert lines == ["POST /v1/test_run 201", "GET /v1/*** 404", "GET /v1/test_run fault"]


# --- Faults ---


def test_faults_are_used_up_in_order_by_the_requests_they_wait_for(
    sim: Simulator, client: httpx.Client
) -> None:
    create(client)
    create(client)
    sim.faults.add(faults.answer(500), on="stop", run=5081)
    sim.faults.add(faults.answer(501), on="GET", times=2)
    sim.faults.add(faults.answer(502))
    sim.faults.add(faults.answer(503), on="POST", times=None)
    stops = [client.post(f"/v1/test_run/{run}/action/stop").status_code for run in (5080, 5081, 5080, 5080)]
    gets = [client.get("/v1/test_run").status_code for _ in range(3)]
    assert stops == [502, 500, 503, 503]
    assert gets == [501, 501, 200]
    sim.faults.clear()
    assert stop(client)[0] == 200


def test_an_answer_can_be_anything(sim: Simulator, client: httpx.Client) -> None:
    create(client)
    sim.faults.add(faults.answer(302, headers={"Location": "https://elsewhere.test/"}))
    sim.faults.add(faults.answer(522, b"\xff<html>", {"Content-Type": "text/html"}), on="stop")
    sim.faults.add(faults.answer(200, "not JSON"))
    sim.faults.add(faults.answer(429, ["slow"], {"Retry-After": "1"}, act=True), on="stop")
    redirect = client.get("/")
    assert (redirect.status_code, redirect.headers["location"]) == (302, "https://elsewhere.test/")
    strange = client.post("/v1/test_run/5080/action/stop")
    assert (strange.status_code, strange.content) == (522, b"\xff<html>")
    assert strange.headers.get_list("content-type") == ["text/html"]
    assert client.get("/").text == "not JSON"
    assert get(client)["recording"] is True
    busy = client.post("/v1/test_run/5080/action/stop")
    assert (busy.headers["retry-after"], busy.json()) == ("1", ["slow"])
    assert get(client)["recording"] is False
    assert sim.connections == 1


def test_an_envelope_can_disagree_with_http(sim: Simulator, client: httpx.Client) -> None:
    sim.faults.add(faults.envelope(423, "locked"))
    answer = client.get("/v1/test_run")
    assert (answer.status_code, answer.json()) == (200, {"status": 423, "body": "locked"})


def test_a_token_can_be_echoed(sim: Simulator, client: httpx.Client) -> None:
    sim.faults.add(faults.echo_token())
    answer = client.get("/v1/test_run")
    assert answer.status_code == 400
    assert TOKEN in answer.text


@pytest.mark.parametrize(
    ("fault", "acted", "error"),
    [
        (faults.reset_before(), False, httpx.ReadError),
        (faults.reset_after(), True, httpx.ReadError),
        (faults.close_without_answer(), True, httpx.RemoteProtocolError),
        (faults.close_without_answer(act=False), False, httpx.RemoteProtocolError),
        (faults.cut(), True, httpx.RemoteProtocolError),
        (faults.cut(act=False), False, httpx.RemoteProtocolError),
        (faults.raw(b"no HTTP\r\n\r\n"), False, httpx.RemoteProtocolError),
        (faults.silence(), True, httpx.ReadTimeout),
        (faults.silence(act=False), False, httpx.ReadTimeout),
        (faults.silence(headers=False), True, httpx.ReadTimeout),
        (faults.drip(5, part="all"), True, httpx.ReadTimeout),
    ],
)
def test_an_answer_can_be_lost_before_or_after_the_effect(
    sim: Simulator,
    client: httpx.Client,
    fault: faults.Fault,
    acted: bool,
    error: type[Exception],
) -> None:
    create(client)
    sim.faults.add(fault, on="stop")
    with pytest.raises(error):
        client.post("/v1/test_run/5080/action/stop", timeout=0.2 if error is httpx.ReadTimeout else 5)
    assert sim.calls[1:] == ["POST /v1/test_run/5080/action/stop"]
    assert get(client)["recording"] is not acted


def test_a_cut_answer_stops_where_it_was_told(sim: Simulator) -> None:
    sim.faults.add(faults.cut(0.75))
    with closing(HTTPConnection(sim.host)) as client:
        client.request("GET", "/v1/test_run", headers={"X-WallarmAPI-Token": TOKEN})
        with client.getresponse() as answer, pytest.raises(IncompleteRead) as error:
            answer.read()
    assert error.value.partial == b'{"status": 200, "bod'
    assert error.value.expected == len(b'y": []}')


@pytest.mark.parametrize("headers", [True, False])
def test_silence_has_headers_or_nothing(
    sim: Simulator,
    headers: bool,
) -> None:
    sim.faults.add(faults.silence(headers=headers))
    with socket.create_connection(("127.0.0.1", int(sim.host.rpartition(":")[2])), timeout=0.2) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        if headers:
            assert client.recv(4096).endswith(b"\r\n\r\n")
        with pytest.raises(TimeoutError):
            client.recv(1)


@pytest.mark.parametrize("part", ["body", "all"])
def test_a_dripping_answer_arrives_whole(
    sim: Simulator, client: httpx.Client, part: Literal["body", "all"]
) -> None:
    create(client)
    sim.faults.add(faults.drip(0, part=part))
    assert get(client)["id"] == 5080


def test_a_bomb_is_small_on_the_wire_and_huge_unpacked(sim: Simulator, client: httpx.Client) -> None:
    create(client)
    sim.faults.add(faults.gzip_bomb(5))
    answer = client.get("/v1/test_run/5080")
    assert int(answer.headers["content-length"]) < 20_000
    assert len(answer.content) > 5_000_000
    assert answer.json()["body"]["id"] == 5080


def test_a_reset_is_a_reset_under_tls_too(tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    with Simulator(tls=tls) as sim:
        port = int(sim.host.rpartition(":")[2])
        sim.faults.add(faults.reset_before())
        with (
            socket.create_connection(("localhost", port), timeout=5) as plain,
            trust.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            # Below TLS, which calls a reset and a mere end both "EOF".
            with pytest.raises(ConnectionResetError):
                list(iter(lambda: socket.socket.recv(client, 4096), b""))


def test_the_end_of_the_simulator_ends_every_wait(clock: Clock) -> None:
    with Simulator(clock=clock) as sim:
        sim.faults.add(faults.silence())
        sim.faults.add(lambda exchange: exchange.wait(3600))
        sim.faults.add(faults.drip(3600))
        port = int(sim.host.rpartition(":")[2])
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]  # the last sends nothing
        for client in clients[:3]:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while len(sim.requests) < 3:
            time.sleep(0.001)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    for client in clients:
        client.close()


def test_a_fault_can_be_written_where_it_is_needed(sim: Simulator, client: httpx.Client) -> None:
    def late(exchange: Exchange) -> None:
        assert exchange.wait(0.01)
        exchange.answer(*exchange.act())

    sim.faults.add(late)
    assert create(client)[0] == 201


# --- Alone ---


@pytest.mark.parametrize("by", ["module", "folder"])
def test_it_starts_alone_and_ends_cleanly(tmp_path: Path, by: str, authority: trustme.CA) -> None:
    certificate, log, url_file = (tmp_path / name for name in ("cert.pem", "log", "url"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    command = [sys.executable, *(["-m", "tests.simulator"] if by == "module" else [ROOT / "tests/simulator"])]
    command += ["--token", "t0ken", "--baselines", "5", "--arrival-seconds", "0", "--tls-cert", certificate]
    command += ["--log", log, "--url-file", url_file]
    where = ROOT if by == "module" else tmp_path
    with subprocess.Popen(command, cwd=where, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            line = process.stdout.readline()
            url = url_file.read_text()
            trust = ssl.create_default_context()
            authority.configure_trust(trust)
            token = {"X-WallarmAPI-Token": "t0ken"}
            with httpx.Client(base_url=url, headers=token, verify=trust, trust_env=False) as client:
                assert create(client)[1]["baseline_count"] == 5
                assert log.read_text() == "POST /v1/test_run 201\n"
        finally:
            process.send_signal(signal.SIGTERM if by == "module" else signal.SIGINT)
        assert process.wait(5) == 0
    assert line == f"simulator listening on {url}\n"
    assert url.startswith("https://localhost:")
