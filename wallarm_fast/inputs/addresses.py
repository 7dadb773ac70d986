"""Parsers of addresses: of the API and of a proxy. Each raises a ValueError as those in `parsers` do."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_NETLOC = re.compile(r"(\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|[^\[\]:]+)(:[0-9]{1,5})?")
_HOST_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_HOST_LABEL}(\.{_HOST_LABEL})*\.?")
_URL_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")


def parse_base_url(text: str) -> SplitResult:
    """Parse a host, host:port or base URL; the default scheme is https."""
    advice = "use a host, host:port or base URL such as https://us1.api.wallarm.com"
    url = None
    if text.isascii() and text.isprintable() and not re.search(r"[\s@?#\\]", text):
        text = f"[{text}]" if _is_ipv6(text) else text
        try:
            url = urlsplit(text if "://" in text else f"https://{text}")
            port = url.port
            if (url.hostname or "").startswith("xn--"):
                import idna  # noqa: PLC0415 - rarely needed

                idna.decode(url.hostname or "")  # as the HTTP library does
        except ValueError:
            url = None
    if url is None or url.scheme not in ("http", "https") or not _URL_PATH.fullmatch(url.path):
        raise ValueError(f"is not an address of an API; {advice}")
    if not _NETLOC.fullmatch(url.netloc) or not _is_host(url.hostname or "") or port == 0:
        raise ValueError(f"has no valid host and port; {advice}")
    # The calls add /v1 themselves.
    return url._replace(path=url.path.rstrip("/").removesuffix("/v1"))


def parse_proxy(text: str) -> str:
    """Parse the URL of a proxy; the default scheme is http. It is not shown, since it may have a password."""
    text = text if "://" in text else f"http://{text}"
    try:
        url = urlsplit(text)
        valid = url.port != 0 and url.scheme in ("http", "https") and _is_host(url.hostname or "")
        valid = valid and _NETLOC.fullmatch(url.netloc.rpartition("@")[2]) is not None
    except ValueError:
        valid = False
    if not valid or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("is not the address of an HTTP proxy; use one such as http://proxy.example:3128")
    return url.geturl()


def is_loopback(host: str) -> bool:
    """Tell whether the host can only be this machine."""
    address = parse_ip(host)
    return address.is_loopback if address else host == "localhost"


def parse_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that the host is, or None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_host(host: str) -> bool:
    if re.fullmatch(r"[0-9.]+", host):
        return parse_ip(host) is not None
    return _HOST.fullmatch(host) is not None or _is_ipv6(host)


def _is_ipv6(host: str) -> bool:
    address = parse_ip(host)
    return isinstance(address, ipaddress.IPv6Address) and address.scope_id is None
