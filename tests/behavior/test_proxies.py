"""Proxies: what goes through them, what they never see, and what they refuse."""

import ssl
from collections.abc import Iterator

import pytest

from tests.assertions import assert_failed, assert_stopped
from tests.harness import TOKEN, InProcess
from tests.tools.proxy import Proxy
from tests.tools.simulator import Simulator, faults


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        yield running


@pytest.fixture
def tls(stop: InProcess, tls_sim: Simulator, ca_pem: str) -> Simulator:
    """`tls_sim`, which `stop` now goes to."""
    stop.base |= {"WALLARM_API_HOST": tls_sim.url, "WALLARM_CA_CERT": ca_pem}
    return tls_sim


@pytest.mark.parametrize("setting", ["HTTPS_PROXY=http", "https_proxy=", "ALL_PROXY=https", "all_proxy="])
def test_https_goes_through_the_proxy_which_never_sees_the_token(
    setting: str, stop: InProcess, proxy: Proxy, tls: Simulator, server_tls: ssl.SSLContext
) -> None:
    """Each request has a tunnel of its own. A proxy that speaks TLS has a certificate of ca_cert."""
    variable, scheme = setting.split("=")
    proxy.tls = server_tls if scheme == "https" else None
    stop.base |= {variable: proxy.url.replace("http", scheme).removeprefix("://")}
    tls.state.create_run("second")
    tls.faults.add(faults.reset_after(), on="stop", run=5081)
    ran = stop("github", TEST_RUN_ID="5080 5081", HTTP_PROXY="http://x.invalid")
    assert ran.exit_code == 0
    assert [result["already_stopped"] for result in ran.results] == [False, True]
    assert proxy.asked == 3 * [f"CONNECT {tls.host}"]
    assert len(proxy.seen) > 500  # the whole tunnel was watched
    assert TOKEN.encode() not in proxy.seen
    assert b"test_run" not in proxy.seen


@pytest.mark.parametrize("setting", ["HTTP_PROXY=http://", "http_proxy="])
def test_http_goes_through_the_proxy_which_resolves_the_name(
    setting: str, stop: InProcess, proxy: Proxy, sim: Simulator
) -> None:
    variable, start = setting.split("=")
    proxy.route_to = sim.host
    stop.base |= {"WALLARM_API_HOST": "http://api.example", "WALLARM_API_USE_SSL": "false"}
    stop.base |= {variable: start + proxy.url.removeprefix("http://"), "HTTPS_PROXY": "http://x.invalid"}
    assert_stopped(stop("github"), sim)
    assert proxy.asked == ["POST http://api.example/v1/test_run/5080/action/stop"]
    assert b"Basic" not in proxy.seen


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST"])
def test_plain_http_to_this_machine_is_direct_whatever_the_proxy(
    host: str, stop: InProcess, proxy: Proxy, sim: Simulator
) -> None:
    url = sim.url.replace("127.0.0.1", host)
    assert_stopped(stop(WALLARM_API_HOST=url, HTTP_PROXY=proxy.url, ALL_PROXY=proxy.url), sim)
    assert proxy.asked == []


def test_the_proxy_gets_its_password_which_is_not_shown(
    stop: InProcess, proxy: Proxy, tls: Simulator
) -> None:
    address = proxy.url.replace("http://", "http://me:geheim@")
    ran = stop("github", ALL_PROXY=address, HTTP_PROXY="http://x.invalid", RUNNER_DEBUG="1")
    assert_stopped(ran, tls)
    assert proxy.asked == [f"CONNECT {tls.host}"]
    assert b"Basic bWU6Z2VoZWlt" in proxy.seen
    assert "geheim" not in ran.log


def stop_with_no_proxy(
    no_proxy: str, stop: InProcess, proxy: Proxy, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the step against 0.0.0.0 twice: with NO_PROXY alone, and with a proxy, too."""
    stop.base |= {
        "WALLARM_API_HOST": sim.url.replace("127.0.0.1", "0.0.0.0"),
        "WALLARM_API_USE_SSL": "false",
    }
    for variable, value in {"NO_PROXY": no_proxy, "HTTP_PROXY": proxy.url}.items():
        monkeypatch.setenv(variable, value)  # where libraries would look
        stop.base[variable] = value
        assert_stopped(stop("github"), sim)


@pytest.mark.parametrize("no_proxy", ["0.0.0.0", "[::1], 0.0.0.0/8", "*"])
def test_an_entry_of_no_proxy_that_means_the_host_makes_the_connection_direct(
    no_proxy: str, stop: InProcess, proxy: Proxy, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_with_no_proxy(no_proxy, stop, proxy, sim, monkeypatch)
    assert proxy.asked == []


@pytest.mark.parametrize(
    "no_proxy",
    ["fd00::/8", "[::1]", "fe80::/10", "a:b", "\xfc.example", "\x7f", "0.0.0.0:1"],
    ids=ascii,
)
def test_any_other_entry_of_no_proxy_changes_nothing_and_is_no_error(
    no_proxy: str, stop: InProcess, proxy: Proxy, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_with_no_proxy(no_proxy, stop, proxy, sim, monkeypatch)
    assert len(proxy.asked) == 1


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


@pytest.mark.parametrize("code", [400, 403, 404, 405, 451])
def test_a_proxy_that_refuses_the_host_fails_at_once(code: int, stop: InProcess) -> None:
    with Proxy(refuse=code) as proxy:
        ran = stop(WALLARM_API_HOST="api.example", HTTPS_PROXY=proxy.url)
    through = f"no connection to api.example:443 through the proxy {proxy.url.removeprefix('http://')}: "
    says = f"the proxy refused the connection (HTTP {code}); have the proxy allow this host, or list"
    assert_failed(ran, 6, through + says)
    assert proxy.asked == ["CONNECT api.example:443"]
    assert stop.clock.slept == []


def test_a_proxy_with_an_https_url_that_speaks_plain_http_fails_at_once_and_is_named(
    stop: InProcess, proxy: Proxy
) -> None:
    there = proxy.url.removeprefix("http://")
    ran = stop(WALLARM_API_HOST="api.example", HTTPS_PROXY=f"https://me:geheim@{there}")
    assert_failed(ran, 6, f"the proxy {there} does not speak TLS; write http:// in the URL of the proxy")
    assert stop.clock.slept == []
    assert "geheim" not in ran.log


def test_a_proxy_whose_certificate_is_not_trusted_fails_at_once_and_is_named(
    stop: InProcess, proxy: Proxy, server_tls: ssl.SSLContext
) -> None:
    proxy.tls = server_tls
    there = proxy.url.removeprefix("http://")
    ran = stop(WALLARM_API_HOST="api.example", HTTPS_PROXY=f"https://{there}")
    assert_failed(ran, 6, f"the TLS certificate of the proxy {there} is not trusted (")
    assert stop.clock.slept == []
