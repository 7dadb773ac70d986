"""Parses responses of the API, which may be hostile: only values of the expected form leave this module.

Every response is an envelope: `{"status": 200, "body": {...}}`.
"""

import json
import re
import zlib
from dataclasses import dataclass
from typing import NoReturn, Self

from wallarm_fast.text import mask

MAX_RESPONSE_BYTES = 1 << 20
ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STATE = re.compile(r"[a-z_]{1,32}")
_MAX_NUMBER = 10**12
_MAX_DETAIL = 200


@dataclass(frozen=True)
class Envelope:
    """The `status` (None if it is not a number) and `body` (None if there is none) of a response."""

    status: int | None = None
    body: object = None

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Parse a response, which may be empty. Raises ValueError if it is not JSON or too long."""
        if len(content) > MAX_RESPONSE_BYTES:
            raise ValueError("too long")
        try:
            text = content.decode("utf-8-sig")
            response = json.loads(text, parse_constant=_refuse_constant) if text else {}
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(response, dict):
            return cls()
        status = response.get("status")
        return cls(status if type(status) is int else None, response.get("body"))

    def detail(self, token: str) -> str:
        """Return what the body of an error says as prose, without the token, cut to a readable length."""
        text = "" if self.body is None else _prose(self.body)
        # The token is masked before the cut, which could leave a piece of it.
        return mask(token, text)[:_MAX_DETAIL]


def decompress(content: bytes, encoding: str) -> bytes:
    """Return the content without its Content-Encoding, or as it is if that is damaged.

    At most a byte more than MAX_RESPONSE_BYTES is unpacked.
    """
    try:
        if encoding.lower() == "gzip":
            import gzip  # noqa: PLC0415 - requests ask for none, so this is rare
            import io  # noqa: PLC0415

            return gzip.GzipFile(fileobj=io.BytesIO(content)).read(MAX_RESPONSE_BYTES + 1)
        if encoding.lower() == "deflate":
            return zlib.decompressobj().decompress(content, MAX_RESPONSE_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        pass
    return content


def _prose(value: object, depth: int = 4) -> str:
    """Write JSON as a line: {"a": {"error": "b"}} becomes "a: error: b"."""
    if isinstance(value, dict) and depth:
        return ", ".join(f"{key}: {_prose(item, depth - 1)}" for key, item in value.items())
    if isinstance(value, list) and depth:
        return ", ".join(_prose(item, depth - 1) for item in value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "..." if isinstance(value, dict | list) else str(value)


def parse_id(value: object, token: str) -> str | None:
    """Return an id, which may be a number or a string, or None if it is not a valid id."""
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and _is_text(text, ID, token) else None


def parse_state(value: object, token: str) -> str | None:
    """Return the state of a run, or None if it is not a valid state."""
    return value if isinstance(value, str) and _is_text(value, _STATE, token) else None


def parse_count(value: object) -> int | None:
    """Return a whole number, which may be written as in parse_number, or None if it is not one."""
    number = parse_number(value)
    return int(number) if number is not None and number.is_integer() else None


def parse_number(value: object) -> float | None:
    """Return a number, which may be written as a string, or None if it is not one."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", value):
        value = float(value)
    return float(value) if type(value) in (int, float) and 0 <= value < _MAX_NUMBER else None  # type: ignore[operator,arg-type]


def parse_flag(value: object) -> bool | None:
    """Return a boolean, or None if it is not one."""
    return value if isinstance(value, bool) else None


def parse_text(value: object, token: str, length: int) -> str | None:
    """Return text without the token, cut to a length, or None if it is not text."""
    return mask(token, value)[:length] if isinstance(value, str) else None


def _is_text(value: str, form: re.Pattern[str], token: str) -> bool:
    return form.fullmatch(value) is not None and token not in value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
