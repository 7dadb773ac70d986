"""Which proxy the environment names for an address of the API."""

import pytest

from tests.harness import TOKEN
from wallarm_fast.inputs.addresses import parse_base_url
from wallarm_fast.inputs.proxy import read_proxy
from wallarm_fast.inputs.table import InputReader

API = "https://us1.api.wallarm.com"
INVALID = "ALL_PROXY: is not the address of an HTTP proxy; use one such as http://proxy.example:3128"
MISPLACED = 'all_proxy: contains the token; pass the token only in the input "token"'


def find_proxy(url: str, env: dict[str, str]) -> str | None:
    """Return the proxy for this address, or what is wrong with it."""
    reader = InputReader({}, {"INPUT_TOKEN": TOKEN, **env})
    proxy = read_proxy(reader, parse_base_url(url))
    assert len(reader.problems) < 2
    return next(iter(reader.problems), proxy)


# Variables by what they mean for https:// and for http://.
CHOICES = {
    "Https_Proxy=a NO_PROXY=b": (None, None),
    "HTTPS_PROXY=a HTTP_PROXY=b ALL_PROXY=socks5://c": ("http://a", "http://b"),
    "https_proxy=a HTTPS_PROXY=b ALL_PROXY=c": ("http://a", "http://c"),
    "http_proxy=a HTTP_PROXY=b all_proxy=c ALL_PROXY=d": ("http://c", "http://a"),
    "https_proxy= HTTPS_PROXY=\t all_proxy=\ta\n": ("http://a", "http://a"),
    "HTTPS_PROXY=a ALL_PROXY=http://me:hush no_proxy=x NO_PROXY=*": ("http://a", INVALID),
    f"HTTP_PROXY=a all_proxy=http://me:{TOKEN}@p": (MISPLACED, "http://a"),
    "ALL_PROXY=a no_proxy= NO_PROXY=*": (None, None),
}


@pytest.mark.parametrize("variables", CHOICES)
def test_the_scheme_decides_on_the_variable_and_lower_case_comes_first(variables: str) -> None:
    env = dict(variable.split("=", 1) for variable in variables.split(" "))
    https, http = CHOICES[variables]
    assert find_proxy("https://host", env) == https
    assert find_proxy("http://host", env) == http


# Addresses, and entries of NO_PROXY that mean their host.
DIRECT = [
    (API, "* us1.api.wallarm.com US1.API.Wallarm.Com .wallarm.com *.wallarm.com wallarm.com com"),
    (API, "wallarm.com. us1.api.wallarm.com:443 .wallarm.com:443 *.com:443 com:443 *:443"),
    ("http://an.example.", "an.example example:80 .example."),
    ("https://10.1.2.3:8443", "10.1.2.3 10.1.2.3:8443 10.1.2.99/24 10.0.0.0/8:8443 0.0.0.0/0"),
    ("https://[2001:db8::7]", "2001:db8::7 [2001:db8::7]:443 2001:DB8:0:0::7 2001:db8::/32 ::/0"),
    ("http://[::1]:443", "::1 [::1] [::1]:443"),
]
# Addresses, and entries that do not.
THROUGH = [
    (API, "us1.api.wallarm.com:80 *:80 x.us1.api.wallarm.com us1 api.wallarm allarm.com *.llarm.com"),
    (API, f"{API} :443 : . .. *. ** ? [ ] [] [::1 com:x com:443: 443 0.0.0.0/0 ::/0 1.0.0.0/99 / %"),
    ("https://10.1.2.3:8443", "10.1.2.3:443 10.1.2.4 10.1.3.0/24 10.1.2.3/33 10.1.2 ::/0 localhost"),
    ("https://[2001:db8::7]", "[2001:db8::7]:80 2001:db8::8 2001:db9::/32 2001:db8::/129 0.0.0.0/0"),
]


def find_with_no_proxy(url: str, entries: str) -> set[str | None]:
    """Return all that is found with each of these entries, alone and among others."""
    lists = [text for entry in entries.split() for text in (entry, f" [x,{entry}\t,a.b")]
    return {find_proxy(url, {"ALL_PROXY": "ftp://me:hush@proxy", "NO_PROXY": text}) for text in lists}


@pytest.mark.parametrize(("url", "entries"), DIRECT)
def test_the_connection_is_direct_if_no_proxy_means_the_host(url: str, entries: str) -> None:
    assert find_with_no_proxy(url, entries) == {None}


@pytest.mark.parametrize(("url", "entries"), THROUGH)
def test_the_proxy_is_used_if_no_proxy_does_not_mean_the_host(url: str, entries: str) -> None:
    assert find_with_no_proxy(url, entries) == {INVALID}
