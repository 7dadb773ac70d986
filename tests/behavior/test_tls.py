"""TLS: which certificates are trusted, and which failures of a handshake can pass."""

import datetime as dt
import socket
import ssl
from pathlib import Path
from socketserver import BaseRequestHandler

import pytest
import trustme

from tests.assertions import assert_failed, assert_stopped
from tests.certificates import Company
from tests.harness import TOKEN, InProcess
from tests.tools.proxy import Proxy
from tests.tools.simulator import Simulator
from tests.tools.simulator.serving import ThreadingServer

NOT_TLS = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "SMTP": b"220 smtp.example.com ESMTP\r\n",
    "zeros": bytes(9),
}
ALERTS = {
    40: "it rejected the handshake (SSLV3_ALERT_HANDSHAKE_FAILURE)",
    42: "it requires a client certificate, which is not supported (SSLV3_ALERT_BAD_CERTIFICATE)",
    49: "it denied access (TLSV1_ALERT_ACCESS_DENIED)",
    70: "it does not speak TLS 1.2 or newer (TLSV1_ALERT_PROTOCOL_VERSION)",
    71: "it accepts none of the ciphers (TLSV1_ALERT_INSUFFICIENT_SECURITY)",
    112: "it does not serve this host name (TLSV1_UNRECOGNIZED_NAME)",
    116: "it requires a client certificate, which is not supported (TLSV13_ALERT_CERTIFICATE_REQUIRED)",
}


def server_hello(version: int) -> bytes:
    """Return the start of a handshake of TLS 1.x without any extension, with a cipher that clients offer."""
    hello = bytes([3, version]) + bytes(33) + b"\xc0\x2f\x00"
    return bytes([22, 3, 1, 0, len(hello) + 4, 2, 0, 0, len(hello)]) + hello


# What a server may send first that no handshake comes after; alerts by their numbers (RFC 8446, 6.2).
HOPELESS = {
    **{f"alert {number}": (bytes([21, 3, 3, 0, 2, 2, number]), reason) for number, reason in ALERTS.items()},
    "TLS 1.0": (server_hello(1), "it does not speak TLS 1.2 or newer (UNSUPPORTED_PROTOCOL)"),
    "legacy": (
        server_hello(3),
        "it needs legacy renegotiation, which is not safe (UNSAFE_LEGACY_RENEGOTIATION_DISABLED)",
    ),
}


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


def greet_with(greeting: bytes) -> ThreadingServer:
    """Return a server that sends these bytes to every client."""

    class Greet(BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(greeting)
            while self.request.recv(4096):
                pass

    return ThreadingServer(("127.0.0.1", 0), Greet)


@pytest.mark.parametrize("greeting", NOT_TLS.values(), ids=NOT_TLS)
def test_a_port_without_tls_fails_at_once(greeting: bytes, stop: InProcess) -> None:
    with greet_with(greeting) as server:
        host = f"127.0.0.1:{server.server_address[1]}"
        ran = stop(WALLARM_API_HOST=host)
    assert_failed(ran, 6, f"{host} does not speak TLS; check the port in api_host")
    assert server.connections == 1
    assert stop.clock.slept == []


@pytest.mark.parametrize(("greeting", "reason"), HOPELESS.values(), ids=HOPELESS)
def test_a_handshake_that_cannot_succeed_fails_at_once_and_says_why(
    greeting: bytes, reason: str, stop: InProcess
) -> None:
    with greet_with(greeting) as server:
        host = f"127.0.0.1:{server.server_address[1]}"
        ran = stop(WALLARM_API_HOST=host)
    assert_failed(ran, 6, f"no TLS connection to {host}: {reason}; recording may still be on")
    assert server.connections == 1


def test_any_other_alert_is_retried(stop: InProcess) -> None:
    with greet_with(bytes([21, 3, 3, 0, 2, 2, 80])) as server:  # internal_error
        ran = stop(WALLARM_API_HOST=f"127.0.0.1:{server.server_address[1]}")
    assert_failed(ran, 6, f"(tried {len(stop.clock.slept) + 1} times)")
    assert server.connections > 10


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (ssl.TLSVersion.TLSv1_2, "it rejected the handshake (SSLV3_ALERT_HANDSHAKE_FAILURE)"),
        (ssl.TLSVersion.TLSv1_3, "it requires a client certificate, which is not supported (TLSV13_ALERT_"),
    ],
)
def test_a_server_that_requires_a_client_certificate_fails_at_once(
    version: ssl.TLSVersion, reason: str, stop: InProcess, company: Company
) -> None:
    """In TLS 1.3 it says so after the handshake, and may be gone before the request is sent."""
    company.tls.verify_mode = ssl.CERT_REQUIRED
    company.tls.maximum_version = version
    with Simulator(token=TOKEN, tls=company.tls) as sim:
        ran = stop(WALLARM_API_HOST=sim.url, WALLARM_CA_CERT=company.root.pem)
    assert_failed(ran, 6, f"no TLS connection to {sim.host}: {reason}")
    assert sim.connections == 1
    assert stop.clock.slept == []


def test_a_tls_handshake_that_hangs_is_abandoned_without_fetching_the_run(stop: InProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        ran = stop(WALLARM_API_HOST=url, STOP_RECORDING_TIMEOUT="0.7", CI_DEBUG_TRACE="true")
    assert_failed(ran, 6)
    assert "GET" not in ran.log


@pytest.mark.parametrize("name", ["root", "intermediate", "server"])
def test_a_chain_may_end_at_any_certificate_of_ca_cert_and_needs_no_extensions(
    name: str, stop: InProcess, company: Company
) -> None:
    with Simulator(token=TOKEN, tls=company.tls) as sim:
        sim.state.create_run("first")
        ran = stop("github", WALLARM_API_HOST=sim.url, WALLARM_CA_CERT=getattr(company, name).pem)
    assert_stopped(ran, sim)


def test_the_certificate_of_a_proxy_needs_no_extensions_either(
    stop: InProcess, company: Company, sim: Simulator
) -> None:
    with Proxy(route_to=sim.host) as proxy:
        proxy.tls = company.tls
        ran = stop(
            WALLARM_API_HOST="http://api.example",
            WALLARM_API_USE_SSL="false",
            HTTP_PROXY=proxy.url.replace("http", "https"),
            WALLARM_CA_CERT=company.root.pem,
        )
    assert_stopped(ran, sim)
    assert proxy.asked == ["POST http://api.example/v1/test_run/5080/action/stop"]


@pytest.mark.parametrize("ca_cert", ["file", "text", "another", ""])
def test_the_certificates_of_ca_cert_and_of_the_system_are_trusted(
    ca_cert: str, stop: InProcess, tls_sim: Simulator, ca_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stop.directory / "ca.pem").write_text(ca_pem)
    another = trustme.CA().cert_pem.bytes().decode()
    if ca_cert in ("another", ""):
        monkeypatch.setenv("SSL_CERT_FILE", str(stop.directory / "ca.pem"))
    value = {"file": "ca.pem", "text": ca_pem, "another": another, "": ""}[ca_cert]
    assert_stopped(stop(WALLARM_API_HOST=tls_sim.host, WALLARM_CA_CERT=value), tls_sim)


def assert_not_trusted(stop: InProcess, tls: ssl.SSLContext, ca_pem: str, reason: str) -> None:
    with Simulator(token=TOKEN, tls=tls) as sim:
        ran = stop(WALLARM_API_HOST=sim.url, WALLARM_CA_CERT=ca_pem)
    assert_failed(ran, 6, f"certificate of {sim.host} is not trusted", reason)
    assert_failed(ran, 6, "; check api_host, and that ca_cert contains the CA of this certificate")
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


def test_a_certificate_of_another_ca_fails_at_once(stop: InProcess, company: Company, ca_pem: str) -> None:
    assert_not_trusted(stop, company.tls, ca_pem, "self-signed certificate in certificate chain")


def test_a_certificate_that_is_not_trusted_without_ca_cert_asks_for_it(
    stop: InProcess, tls_sim: Simulator
) -> None:
    ran = stop(WALLARM_API_HOST=tls_sim.url)
    assert_failed(ran, 6, "; check api_host, or name the certificate of its CA in ca_cert; recording may")


def test_behind_a_proxy_a_certificate_error_also_names_no_proxy(stop: InProcess, tls_sim: Simulator) -> None:
    with Proxy() as proxy:
        ran = stop(WALLARM_API_HOST=tls_sim.url, HTTPS_PROXY=proxy.url)
    assert_failed(ran, 6, f"certificate of {tls_sim.host} through the proxy 127.0.0.1:")
    assert_failed(ran, 6, "in ca_cert; NO_PROXY keeps the API off the proxy; recording may still be on")
