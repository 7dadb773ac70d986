"""Where the API is, and how to connect to it."""

from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit


@dataclass(frozen=True)
class Cloud:
    """A Wallarm cloud: the host of its API and the base URL of its portal."""

    api_host: str
    portal: str


CLOUDS = {
    "us": Cloud("us1.api.wallarm.com", "https://us1.my.wallarm.com"),
    "eu": Cloud("api.wallarm.com", "https://my.wallarm.com"),
}


@dataclass(frozen=True)
class Connection:
    """An API server and the token for it.

    `ca_certificates` (PEM) are trusted in addition to the system's, `proxy` is the URL of a proxy.
    """

    base_url: str
    token: str = field(repr=False)
    ca_certificates: str | None = None
    proxy: str | None = field(default=None, repr=False)
    portal: str | None = None

    @property
    def server(self) -> str:
        """Host and port of the API."""
        return _host_and_port(urlsplit(self.base_url))

    @property
    def proxy_server(self) -> str | None:
        """Host and port of the proxy."""
        return self.proxy and _host_and_port(urlsplit(self.proxy))

    @property
    def route(self) -> str:
        """Host and port of the API and, if there is one, of the proxy."""
        return f"{self.server} through the proxy {self.proxy_server}" if self.proxy else self.server

    def run_url(self, test_run_id: str) -> str | None:
        """Return the address of the test run's page, or None if there is no id or the portal is unknown."""
        return f"{self.portal}/testing/testruns/{test_run_id}" if self.portal and test_run_id else None


def port_of(url: SplitResult) -> int:
    """Return the port of an http or https URL, which may be the default one."""
    return url.port or (443 if url.scheme == "https" else 80)


def _host_and_port(url: SplitResult) -> str:
    """Return both without user and password."""
    host = url.netloc.rpartition("@")[2]
    return host if url.port else f"{host}:{port_of(url)}"
