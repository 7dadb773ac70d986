"""From the text of an input to its value, checked; ValueError says what is wrong and what would be right.

A message shows a wrong value only where it cannot be a secret put into the wrong place.
"""

import ipaddress
import re
import ssl
from contextlib import suppress
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

_TEST_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
_NETLOC = re.compile(r"(\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|[^\[\]:]+)(:[0-9]{1,5})?")
_HOST_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_HOST_LABEL}(\.{_HOST_LABEL})*\.?")
_URL_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_BOOLEANS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(
    ("false", "no", "off", "0"), False
)
# What the YAML parser meets in a list of plain values, beside these.
_FLAT_LIST = (
    "StreamStartEvent", "DocumentStartEvent", "SequenceStartEvent",
    "SequenceEndEvent", "DocumentEndEvent", "StreamEndEvent",
)  # fmt: skip
_DAY = 86_400
_FILE_LIMIT = 4 << 20
_SHOWN_LENGTH = 40


def token(text: str) -> str:
    """Check that the token is there and can stand in an HTTP header."""
    if not text:
        raise ValueError(
            "is required; give the input token, or set WALLARM_API_TOKEN or WALLARM_API_TOKEN_FILE "
            "(is the secret defined, and open to this job?)"
        )
    if not _TOKEN.fullmatch(text):
        raise ValueError(
            "has white space, a control character or a non-ASCII letter inside (not shown here); "
            "copy it again, without line breaks"
        )
    return text


def test_run_ids(text: str) -> tuple[str, ...]:
    """Read one id or several, separated by commas or white space, or a YAML or JSON list; each once."""
    if re.match(r"\[|-\s", text):
        ids = _yaml_list(text)
    else:
        ids = [part for part in re.split(r"[\s,]+", text) if part]
    if not ids or ids == ["null"]:  # what jq prints of nothing
        raise ValueError(
            "is required; give the input test_run_id, or set TEST_RUN_ID "
            "(did the job that records hand it on?)"
        )
    for position, test_run_id in enumerate(ids, start=1):
        which = f"entry {position} of {len(ids)}" if len(ids) > 1 else "it"
        if not _TEST_RUN_ID.fullmatch(test_run_id):
            hint = " (a variable that was not replaced?)" if "$" in test_run_id else ""
            raise ValueError(
                f"{which} is not an id; an id has 1 to 128 of the characters A-Z a-z 0-9 _ -{hint}"
            )
    return tuple(dict.fromkeys(ids))


test_run_ids.__test__ = False  # type: ignore[attr-defined]  # pytest goes by the name


def seconds(text: str) -> float:
    """Read a number of seconds, at most a day."""
    if not _SECONDS.fullmatch(text) or float(text) > _DAY:
        raise ValueError(f"must be a number of seconds, 0 to {_DAY}, not {shown(text)}")
    return float(text)


def whole_number(text: str) -> int:
    """Read a whole number, 0 or more."""
    if not _WHOLE_NUMBER.fullmatch(text):
        raise ValueError(f"must be a whole number, 0 or more, not {shown(text)}")
    return int(text)


def boolean(text: str) -> bool:
    """Read true or false, in any case; yes, no, on, off, 1 and 0 will do."""
    if (value := _BOOLEANS.get(text.lower())) is None:
        raise ValueError(f"must be true or false, not {shown(text)}")
    return value


def base_url(text: str) -> SplitResult:
    """Read a host, host:port or base URL; without a scheme it is https."""
    advice = "give a host, host:port or base URL such as https://us1.api.wallarm.com"
    url = None
    if text.isascii() and text.isprintable() and not re.search(r"[\s@?#\\]", text):
        text = f"[{text}]" if _is_ipv6(text) else text
        try:
            url = urlsplit(text if "://" in text else f"https://{text}")
            port = url.port
        except ValueError:
            url = None
    if url is None or url.scheme not in ("http", "https") or not _URL_PATH.fullmatch(url.path):
        raise ValueError(f"is not an address of an API; {advice}")
    if not _NETLOC.fullmatch(url.netloc) or not _is_host(url.hostname or "") or port == 0:
        raise ValueError(f"has no valid host and port; {advice}")
    return url._replace(path=url.path.rstrip("/"))


def is_loopback(host: str) -> bool:
    """Tell whether the host can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def certificates(text: str) -> str:
    """Read PEM certificates, or the file that the text names."""
    advice = "give the path of a PEM file (relative to the working directory) or the PEM text itself"
    try:
        content = text if "-----BEGIN" in text else small_file(text)
    except ValueError as problem:
        raise ValueError(f"the file {shown(text)} {problem}; {advice}") from None
    pem = "\n".join(_CERTIFICATE.findall(content))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ValueError, ssl.SSLError):  # ValueError: there is none
        raise ValueError(f"has no valid certificate in it; {advice}") from None
    return pem


def small_file(path: str) -> str:
    """Read a regular text file; a device or a pipe could block for ever. The ValueError names no path."""
    file = Path(path)
    try:
        if file.exists() and not file.is_file():
            raise ValueError("is not a regular file")
        with file.open("rb") as stream:
            return stream.read(_FILE_LIMIT).decode(errors="replace")
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def shown(text: str) -> str:
    """Return the text in quotes, or its beginning."""
    return repr(text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}...")


def _yaml_list(text: str) -> list[str]:
    import yaml  # noqa: PLC0415 - plain ids, the usual case, need no YAML

    ids, shape = [], []
    with suppress(yaml.YAMLError, ValueError):
        # The events of the parser: as strings (0123 stays 0123), and no further than a second level.
        for event in yaml.parse(text, Loader=yaml.BaseLoader):
            if isinstance(event, yaml.ScalarEvent):
                ids.append(event.value)
            else:
                shape.append(type(event).__name__)
            if len(shape) > len(_FLAT_LIST):
                break
    if tuple(shape) != _FLAT_LIST:
        raise ValueError("starts like a YAML or JSON list, but is not a list of plain ids")
    return ids


def _is_host(host: str) -> bool:
    if re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            return False
        return True
    return _HOST.fullmatch(host) is not None or _is_ipv6(host)


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.IPv6Address(host).scope_id is None
    except ValueError:
        return False
