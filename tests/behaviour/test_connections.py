"""Connections: addresses, names, TLS, proxies that refuse, and which response belongs to which request."""

import datetime as dt
import socket
import ssl
from socketserver import BaseRequestHandler

import pytest
import trustme

from tests.assertions import assert_failed, assert_stopped
from tests.harness import STOP, TOKEN, InProcess
from tests.tools.proxy import Proxy
from tests.tools.simulator import Exchange, Simulator, faults
from tests.tools.simulator.serving import ThreadingServer

# Addresses of a host: 127.0.0.1 works, nothing listens on 127.0.0.2, the others hang.
ADDRESSES = {
    "two": ["192.0.2.1", "192.0.2.2", "127.0.0.1"],
    "four": ["192.0.2.1", "192.0.2.2", "127.0.0.2", "192.0.2.4", "127.0.0.1", "192.0.2.5"],
    "IPv6": ["2001:db8::1", "2001:db8::2", "127.0.0.1"],
}
NOT_TLS = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "SMTP": b"220 smtp.example.com ESMTP\r\n",
    "zeros": bytes(9),
}


@pytest.mark.parametrize("addresses", ADDRESSES.values(), ids=ADDRESSES)
def test_dead_addresses_leave_time_for_the_one_that_works(
    addresses: list[str], stop: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that hangs takes all the time that it is given, on the clock of the step."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connect_or_hang(client: socket.socket, address: tuple[str, int]) -> None:
        if not address[0].startswith("127."):
            stop.clock.now += client.gettimeout() or 3600
            raise TimeoutError
        connect(client, address)

    def resolve_to_all(host: str, *args: int, **kwargs: int) -> list[object]:
        found = addresses if host == "localhost" else [host]
        return [entry for address in found for entry in resolve(address, *args, **kwargs)]

    monkeypatch.setattr(socket.socket, "connect", connect_or_hang)
    monkeypatch.setattr(socket, "getaddrinfo", resolve_to_all)
    url = sim.url.replace("127.0.0.1", "localhost")
    ran = stop("github", WALLARM_API_HOST=url, STOP_RECORDING_TIMEOUT="24")
    assert_stopped(ran, sim, already=False)
    assert sim.calls == [STOP]


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


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502])
def test_a_request_that_a_proxy_did_not_let_through_is_retried_without_fetching_the_run(
    code: int, stop: InProcess, tls_sim: Simulator
) -> None:
    with Proxy(code) as proxy:
        ran = stop(WALLARM_API_HOST=tls_sim.url, HTTPS_PROXY=proxy.url, CI_DEBUG_TRACE="true")
    attempts = len(stop.clock.slept) + 1
    assert attempts > 10
    assert_failed(ran, 6, f"no connection to {tls_sim.host}", f"(tried {attempts} times)")
    assert ran.stderr.count("debug: POST /v1/") == attempts
    assert "debug: GET /v1/" not in ran.stderr
    assert len(proxy.asked) == attempts


def test_a_tls_handshake_that_hangs_is_abandoned_without_fetching_the_run(stop: InProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        ran = stop(WALLARM_API_HOST=url, STOP_RECORDING_TIMEOUT="0.7", CI_DEBUG_TRACE="true")
    assert_failed(ran, 6)
    assert "GET" not in ran.log


def assert_not_trusted(stop: InProcess, tls: ssl.SSLContext, ca_pem: str, reason: str) -> None:
    with Simulator(token=TOKEN, tls=tls) as sim:
        ran = stop(WALLARM_API_HOST=sim.url, WALLARM_CA_CERT=ca_pem)
    assert_failed(ran, 6, f"certificate of {sim.host} is not trusted", reason, "api_host", "ca_cert")
    assert sim.calls == []
    assert stop.clock.slept == []


def test_an_expired_certificate_fails_at_once(stop: InProcess, ca: trustme.CA, ca_pem: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", not_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)).configure_cert(tls)
    assert_not_trusted(stop, tls, ca_pem, "has expired")


def test_a_certificate_of_another_host_fails_at_once(stop: InProcess, ca: trustme.CA, ca_pem: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("api.example.com").configure_cert(tls)
    assert_not_trusted(stop, tls, ca_pem, "mismatch")


@pytest.mark.parametrize("greeting", NOT_TLS.values(), ids=NOT_TLS)
def test_a_port_without_tls_fails_at_once(greeting: bytes, stop: InProcess) -> None:
    class Greet(BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(greeting)
            while self.request.recv(4096):
                pass

    with ThreadingServer(("127.0.0.1", 0), Greet) as server:
        host = f"127.0.0.1:{server.server_address[1]}"
        ran = stop(WALLARM_API_HOST=host)
    assert_failed(ran, 6, f"{host} does not speak TLS; check the port in api_host")
    assert server.connections == 1
    assert stop.clock.slept == []


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_a_proxy_that_refuses_the_credentials_fails_at_once_and_is_named_without_its_password(
    scheme: str, port: int, stop: InProcess
) -> None:
    with Proxy(refuse=407) as proxy:
        there = proxy.url.removeprefix("http://")
        env = {"WALLARM_API_HOST": f"{scheme}://api.example", "ALL_PROXY": f"me:geheim@{there}"}
        ran = stop(**env, WALLARM_API_USE_SSL="false", CI_DEBUG_TRACE="true")
    says = f"through the proxy {there}: the proxy refused the credentials (HTTP 407); check user and password"
    assert_failed(ran, 6, f"no connection to api.example:{port} {says}")
    assert len(proxy.asked) == 1
    assert stop.clock.slept == []
    assert "geheim" not in ran.log


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_a_dead_proxy_is_tried_again_and_is_named_without_its_password(
    scheme: str, port: int, stop: InProcess, closed_port: int
) -> None:
    env = {"WALLARM_API_HOST": f"{scheme}://api.example", "ALL_PROXY": f"me:geheim@127.0.0.1:{closed_port}"}
    ran = stop(**env, WALLARM_API_USE_SSL="false", CI_DEBUG_TRACE="true")
    through = f"through the proxy 127.0.0.1:{closed_port}: "
    assert_failed(ran, 6, f"no connection to api.example:{port} {through}", "(tried ")
    assert stop.clock.slept != []
    assert "geheim" not in ran.log


def test_a_name_that_is_not_valid_in_punycode_is_bad_input(stop: InProcess) -> None:
    ran = stop(WALLARM_API_HOST="xn--a.example")
    assert ran.exit_code == 2
    assert ran.errors == ["api_host (WALLARM_API_HOST): is not a valid international domain name (xn--...)"]


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
