"""Connections: addresses, names, TLS, proxies that refuse, and which response belongs to which request."""

import socket
import ssl
from collections.abc import Mapping, Sequence
from socketserver import BaseRequestHandler

import httpx
import pytest

from tests.assertions import assert_failed, assert_stopped
from tests.harness import SOON, STOP, TOKEN, InProcess
from tests.tools.proxy import Proxy
from tests.tools.simulator import Exchange, Simulator, faults
from tests.tools.simulator.serving import ThreadingServer
from wallarm_fast.api.transport import Transport
from wallarm_fast.clock import Clock

# Addresses of a host: 127.0.0.1 works, nothing listens on 127.0.0.2, the others hang.
ADDRESSES = {
    "two": ["192.0.2.1", "192.0.2.2", "127.0.0.1"],
    "four": ["192.0.2.1", "192.0.2.2", "127.0.0.2", "192.0.2.4", "127.0.0.1", "192.0.2.5"],
    "IPv6": ["2001:db8::1", "2001:db8::2", "127.0.0.1"],
}


def resolve_to(patch: pytest.MonkeyPatch, addresses: Mapping[str, Sequence[str]]) -> None:
    """Let these names have these addresses."""
    resolve = socket.getaddrinfo

    def find(host: str, *args: int, **kwargs: int) -> list[object]:
        return [
            found for address in addresses.get(host, [host]) for found in resolve(address, *args, **kwargs)
        ]

    patch.setattr(socket, "getaddrinfo", find)


@pytest.mark.parametrize("addresses", ADDRESSES.values(), ids=ADDRESSES)
def test_dead_addresses_leave_time_for_the_one_that_works(
    addresses: list[str], stop: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that hangs takes all the time that it is given, on the clock of the step."""
    connect = socket.socket.connect

    def connect_or_hang(client: socket.socket, address: tuple[str, int]) -> None:
        if not address[0].startswith("127."):
            stop.clock.now += client.gettimeout() or 3600
            raise TimeoutError
        connect(client, address)

    monkeypatch.setattr(socket.socket, "connect", connect_or_hang)
    resolve_to(monkeypatch, {"api.example": addresses})
    url = sim.url.replace("127.0.0.1", "api.example")
    ran = stop("github", WALLARM_API_HOST=url, WALLARM_API_USE_SSL="false", STOP_RECORDING_TIMEOUT="24")
    assert_stopped(ran, sim, already=False)
    assert sim.calls == [STOP]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_localhost_is_never_another_machine(
    scheme: str, stop: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a hosts file or a name server may say; to this machine, the token goes unencrypted."""
    asked: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    resolve_to(monkeypatch, {"localhost": ["192.0.2.1", "192.0.2.2"]})
    ran = stop(WALLARM_API_HOST=f"{scheme}://localhost:8080")
    assert_failed(ran, 6, "localhost:8080: the name means 192.0.2.1, 192.0.2.2, which is not this machine (")
    assert asked == []


def test_of_the_addresses_of_localhost_only_those_of_this_machine_are_used(
    stop: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, connect = list[str](), socket.socket.connect

    def note_and_connect(client: socket.socket, address: tuple[str, int]) -> None:
        asked.append(address[0])
        connect(client, address)

    monkeypatch.setattr(socket.socket, "connect", note_and_connect)
    resolve_to(monkeypatch, {"localhost": ["192.0.2.1", "127.0.0.1"]})
    assert_stopped(stop(WALLARM_API_HOST=sim.url.replace("127.0.0.1", "localhost")), sim)
    assert asked == ["127.0.0.1"]


@pytest.mark.parametrize("hangs", [False, True], ids=["reset", "hangs"])
def test_after_an_address_that_fails_in_the_handshake_the_next_one_comes_first(
    hangs: bool, stop: InProcess, tls_sim: Simulator, ca_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where large packets are lost on the way over IPv6: connections are accepted, then nothing comes."""

    class Fail(BaseRequestHandler):
        def handle(self) -> None:
            while hangs and self.request.recv(4096):
                pass

    resolve_to(monkeypatch, {"localhost": ["127.0.0.2", "127.0.0.1"]})
    with ThreadingServer(("127.0.0.2", tls_sim.server_address[1]), Fail) as first:
        env = {"WALLARM_API_HOST": tls_sim.url, "WALLARM_CA_CERT": ca_pem, "STOP_RECORDING_TIMEOUT": "2"}
        assert_stopped(stop("github", TEST_RUN_ID="5080", **env), tls_sim, already=False)
        assert first.connections == 1
    assert tls_sim.calls == [STOP]
    assert len(stop.clock.slept) == 1


def test_a_dot_at_the_end_of_a_name_is_for_the_resolver_alone(
    stop: InProcess, tls_sim: Simulator, ca_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, {"localhost.": ["127.0.0.1"]})
    url = tls_sim.url.replace("localhost", "localhost.")
    assert_stopped(stop("github", WALLARM_API_HOST=url, WALLARM_CA_CERT=ca_pem), tls_sim, already=False)


def test_silence_is_put_up_with_for_300_seconds_however_long_the_timeout(
    stop: InProcess, closed_port: int
) -> None:
    ran = stop(WALLARM_API_HOST=f"http://127.0.0.1:{closed_port}", STOP_RECORDING_TIMEOUT="3600")
    assert_failed(ran, 6, "no connection to 127.0.0.1:", " times); check api_host and proxy; recording may")
    assert 280 < sum(stop.clock.slept) <= 300


def test_any_response_ends_the_silence(stop: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.reset_before(), on="stop", times=20)
    sim.faults.add(faults.answer(503), on="stop")
    sim.faults.add(faults.reset_before(), on="stop", times=None)
    ran = stop(STOP_RECORDING_TIMEOUT="3600")
    assert_failed(ran, 6, "no complete response from 127.0.0.1:")
    assert 450 < sum(stop.clock.slept) <= 480


def test_a_host_that_is_not_found_is_named_and_resolved_again(
    stop: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_found(*args: object, **kwargs: object) -> None:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    ran = stop(WALLARM_API_HOST="api.example")
    assert_failed(ran, 6, "no connection to api.example:443: no such name (tried ")


@pytest.mark.parametrize("slow", ["name", "proxy", "handshake"])
def test_a_response_has_its_time_from_when_the_request_was_sent(  # noqa: PLR0913, PLR0917 - fixtures
    slow: str, stop: InProcess, tls_sim: Simulator, server_tls: ssl.SSLContext, ca_pem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Connecting and responding take longer together than a request may, on the clock of the step."""
    resolve = socket.getaddrinfo

    def pass_time(*_: object) -> bool:
        stop.clock.now += 20
        return True

    def answer_late(exchange: Exchange) -> None:
        pass_time()
        exchange.answer(*exchange.act())

    with Proxy() as proxy:
        if slow == "name":
            monkeypatch.setattr(
                socket, "getaddrinfo", lambda *args, **kw: pass_time() and resolve(*args, **kw)
            )
        elif slow == "proxy":
            monkeypatch.setattr(proxy, "verify_request", pass_time)
        else:
            monkeypatch.setattr(server_tls, "sni_callback", lambda *_: pass_time() and None)
        tls_sim.faults.add(answer_late)
        https_proxy = proxy.url if slow == "proxy" else ""
        ran = stop("github", WALLARM_API_HOST=tls_sim.url, WALLARM_CA_CERT=ca_pem, HTTPS_PROXY=https_proxy)
    assert_stopped(ran, tls_sim, already=False)
    assert tls_sim.calls == [STOP]
    assert stop.clock.slept == []


@pytest.mark.parametrize("way", ["http", "https", "handshake"])
def test_a_request_that_was_never_sent_is_retried_without_fetching_the_run(
    way: str, stop: InProcess, tls_sim: Simulator, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_sim, "verify_request", lambda *_: False)  # which closes the connection
    hosts = {"http": f"http://127.0.0.1:{closed_port}", "https": f"https://127.0.0.1:{closed_port}"}
    host = hosts.get(way, tls_sim.url)
    ran = stop(WALLARM_API_HOST=host, CI_DEBUG_TRACE="true")
    attempts = len(stop.clock.slept) + 1
    assert attempts > 10
    assert_failed(ran, 6, f"no connection to {host.partition('://')[2]}", f"(tried {attempts} times)")
    assert ran.stderr.count("debug: POST /v1/") == attempts
    assert "debug: GET /v1/" not in ran.stderr


def test_a_name_that_is_not_valid_in_punycode_is_bad_input(stop: InProcess) -> None:
    ran = stop(WALLARM_API_HOST="xn--a.example")
    assert ran.exit_code == 2
    assert ran.errors == [
        "api_host (WALLARM_API_HOST): is not an address of an API; use a host, host:port or base URL such as https://us1.api.wallarm.com"
    ]


def test_after_the_end_nothing_more_is_received(sim: Simulator) -> None:
    """Threads that are busy with responses of tiny chunks would hold up the outputs."""
    transport = Transport(ssl.create_default_context(), None, Clock(), max_connections=1)
    request = httpx.Request("GET", sim.url, extensions={"timeout": httpx.Timeout(SOON).as_dict()})
    assert transport.handle_request(request).status_code == 403
    transport.close()
    with pytest.raises(httpx.ReadError, match="closed"):
        transport.handle_request(request)


def test_what_follows_a_response_is_not_taken_for_the_next_one(stop: InProcess, sim: Simulator) -> None:
    """No response names its run: only the connection tells which one it is about."""
    ids = ["5080", *(str(sim.state.create_run("another").id) for _ in range(99))]
    sim.state.rules.omit_in_stop = {"id"}
    sim.faults.add(
        lambda exchange: exchange.send(b"".join(faults.message(*exchange.act())) * 2), on="stop", times=None
    )
    ran = stop("github", TEST_RUN_ID=",".join(ids))
    assert ran.exit_code == 0
    assert len(sim.calls) == len(ids)
    assert [result["test_record_id"] for result in ran.results] == [str(9058 + nth) for nth in range(100)]


@pytest.mark.parametrize("url", ["http://[::1]:{}", "[::1]:{}", "https://[0:0:0:0:0:0:0:1]:{}/"])
def test_an_ipv6_literal_is_a_host(
    url: str, stop: InProcess, server_tls: ssl.SSLContext, ca_pem: str
) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    tls = None if url.startswith("http:") else server_tls
    with Simulator(token=TOKEN, baselines=5, host="::1", tls=tls) as sim:
        sim.state.create_run("first")
        host = url.format(sim.host.rpartition(":")[2])
        assert_stopped(stop(WALLARM_API_HOST=host, WALLARM_CA_CERT=ca_pem), sim)


def test_the_path_of_a_base_url_is_kept(stop: InProcess, sim: Simulator) -> None:
    stop(WALLARM_API_HOST=f"{sim.url}/gateway/")
    assert sim.calls[0] == "POST /gateway/v1/test_run/5080/action/stop"
