"""Which proxy leads to the API, as the usual environment variables say."""

import ipaddress
from contextlib import suppress
from urllib.parse import SplitResult

from wallarm_fast.api.connection import port_of
from wallarm_fast.inputs import addresses
from wallarm_fast.inputs.table import InputReader


def read_proxy(reader: InputReader, url: SplitResult) -> str | None:
    """Return the URL of the proxy for this address of the API, or None for a direct connection.

    Reads HTTPS_PROXY or HTTP_PROXY, ALL_PROXY and NO_PROXY, in lower case first, as curl does. A plain http://
    address of this machine is direct: the token never leaves the machine unencrypted.
    """
    host, environ = url.hostname or "", reader.environ
    if url.scheme == "http" and addresses.is_loopback(host):
        return None
    names = (f"{url.scheme}_proxy", f"{url.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    given = next((name for name in names if environ.get(name, "").strip()), None)
    no_proxy = environ.get("no_proxy", "") or environ.get("NO_PROXY", "")
    if given is None or any(
        _matches(entry, host, port_of(url)) for entry in no_proxy.replace(",", " ").split()
    ):
        return None
    return reader.check(given, environ[given].strip(), addresses.parse_proxy, None)


def _matches(entry: str, host: str, port: int) -> bool:
    """Tell whether an entry of NO_PROXY means the host; one that cannot be understood means none."""
    if entry == "*":
        return True
    with suppress(ValueError):
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
        address = addresses.parse_ip(host)
        return address is not None and address in network
    name, _, entry_port = entry.rpartition(":")
    if name and entry_port == str(port):
        return _matches(name, host, port)
    domain = entry.lower().removeprefix("*").removeprefix(".").rstrip(".")
    return bool(domain) and f".{host.lower().rstrip('.')}".endswith(f".{domain}")
