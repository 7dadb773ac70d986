"""Connections: addresses, names, TLS, proxies that refuse, and which answer belongs to which request."""

import datetime as dt
import re
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


def test_a_host_that_is_not_found_is_named_and_looked_up_again(
    stop: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_found(*args: object, **kwargs: object) -> None:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    ran = stop(WALLARM_API_HOST="api.example")
    assert_failed(ran, 6, "no connection to api.example:443: no such name (tried ")


@pytest.mark.parametrize("slow", ["name", "proxy", "handshake"])
def test_an_answer_has_its_time_from_when_the_request_was_sent(  # noqa: PLR0913, PLR0917 - fixtures
    slow: str, stop: InProcess, tls_sim: Simulator, server_tls: ssl.SSLContext, ca_pem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Connecting and answering take longer together than a request may, on the clock of the step."""
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
        ran = stop(
            "github", WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=ca_pem, HTTPS_PROXY=https_proxy
        )
    assert_stopped(ran, tls_sim, already=False)
    assert (tls_sim.calls, stop.clock.slept) == ([STOP], [])


@pytest.mark.parametrize("way", ["http", "https", "handshake", "403", "502"])
def test_a_request_that_was_never_sent_is_retried_without_a_look_at_the_run(
    way: str, stop: InProcess, tls_sim: Simulator, closed_port: int
) -> None:
    tls_sim.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # without a certificate no handshake succeeds
    host = f"{way}://127.0.0.1:{closed_port}" if way.startswith("http") else tls_sim.url
    with Proxy(int(way) if way.isdigit() else None) as proxy:
        https_proxy = proxy.url if way.isdigit() else ""
        ran = stop(WALLARM_API_HOST=host, HTTPS_PROXY=https_proxy, CI_DEBUG_TRACE="true")
    attempts = len(stop.clock.slept) + 1
    assert attempts > 10
    assert_failed(ran, 6, f"no connection to {host.partition('://')[2]}", f"(tried {attempts} times)")
    assert re.findall(r"(?m)^debug: (\S+) /v1/", ran.stderr) == ["POST"] * attempts
    assert len(proxy.asked) == (attempts if way.isdigit() else 0)


def test_a_tls_handshake_that_hangs_is_abandoned_without_a_look_at_the_run(stop: InProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        ran = stop(WALLARM_API_HOST=url, STOP_RECORDING_TIMEOUT="0.7", CI_DEBUG_TRACE="true")
    assert_failed(ran, 6)
    assert "GET" not in ran.log


@pytest.mark.parametrize(("name", "reason"), [("localhost", "has expired"), ("api.example.com", "mismatch")])
def test_an_expired_or_mismatched_certificate_fails_at_once(
    name: str, reason: str, stop: InProcess, ca: trustme.CA, ca_pem: str
) -> None:
    until = dt.datetime(2020 if name == "localhost" else 2100, 1, 1, tzinfo=dt.UTC)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name, not_after=until).configure_cert(tls)
    with Simulator(token=TOKEN, tls=tls) as sim:
        ran = stop(WALLARM_API_HOST=sim.url, STOP_RECORDING_CA_CERT=ca_pem)
    assert_failed(ran, 6, f"certificate of {sim.host} is not trusted", reason, "api_host", "ca_cert")
    assert (sim.calls, stop.clock.slept) == ([], [])


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
    assert (server.connections, stop.clock.slept) == (1, [])


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("refused", [True, False])
def test_a_proxy_that_refuses_the_credentials_or_is_dead_is_named_without_its_password(
    refused: bool, scheme: str, stop: InProcess, sim: Simulator, closed_port: int
) -> None:
    """Wrong credentials fail at once; a dead proxy may come back."""
    with Proxy(refuse=407) as proxy:
        there = proxy.url.removeprefix("http://") if refused else f"127.0.0.1:{closed_port}"
        host, port = (sim.host, "") if refused else ("api.example", f":{443 if scheme == 'https' else 80}")
        env = {"WALLARM_API_USE_SSL": "false", "ALL_PROXY": f"me:geheim@{there}", "CI_DEBUG_TRACE": "true"}
        ran = stop(WALLARM_API_HOST=f"{scheme}://{host}", **env)
    says = "the proxy refused the credentials (HTTP 407)" if refused else "(tried "
    assert_failed(ran, 6, f"no connection to {host}{port} through the proxy {there}: ", says)
    assert (len(proxy.asked), stop.clock.slept == []) == (refused, refused)
    assert sim.calls == []
    assert "geheim" not in ran.log


def test_a_name_that_is_not_valid_in_punycode_is_bad_input(stop: InProcess) -> None:
    ran = stop(WALLARM_API_HOST="xn--a.example")
    assert ran.exit_code == 2
    assert ran.errors == ["api_host (WALLARM_API_HOST): is not a valid international domain name (xn--...)"]


def test_what_follows_an_answer_is_not_taken_for_the_next_one(stop: InProcess, sim: Simulator) -> None:
    """No answer names its run: only the connection tells which one it is about."""
    ids = ["5080", *(str(sim.state.create_run("another").id) for _ in range(99))]
    sim.state.rules.omit_in_stop = {"id"}
    sim.faults.add(
        lambda exchange: exchange.send(b"".join(faults.message(*exchange.act())) * 2), on="stop", times=None
    )
    ran = stop("github", TEST_RUN_ID=",".join(ids))
    assert (ran.exit_code, len(sim.calls)) == (0, len(ids))
    assert [result["test_record_id"] for result in ran.results] == [str(9058 + nth) for nth in range(100)]
