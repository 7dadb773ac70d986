"""Reads answers of the API, which may be hostile: only values of the expected form leave this module.

Every answer is an envelope: `{"status": 200, "body": {...}}`.
"""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import NoReturn, Self

from wallarm_fast.api.retry import TransientError
from wallarm_fast.errors import RefusedError
from wallarm_fast.text import hide

MAX_ANSWER_BYTES = 1 << 20
ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STATE = re.compile(r"[a-z_]{1,32}")
_MAX_COUNT = 10**12
_MAX_DETAIL = 200


@dataclass(frozen=True)
class TestRun:
    """What an answer says about a test run; None for what it does not say.

    `unusable_record_id`: it names a test record, but by something that is not an id or contains the token.
    """

    recording: bool | None = None
    test_record_id: str | None = None
    unusable_record_id: bool | None = None
    state: str | None = None
    baseline_count: int | None = None

    @classmethod
    def read(cls, body: object, token: str, *ids: str) -> Self:
        """Take what is usable from the body of an envelope. Ids may be numbers or strings.

        Raises TransientError if the `id` in it is none of these, or `recording` is not a boolean.
        """
        run = body if isinstance(body, dict) else {}
        check_id(run, token, *ids)
        recording = run.get("recording")
        if recording is not None and not isinstance(recording, bool):
            raise TransientError(RefusedError, "the answer says neither true nor false for recording")
        record_id = None if run.get("test_record_id") == "" else run.get("test_record_id")
        usable_id = parse_id(record_id, token)
        return cls(
            recording=recording,
            test_record_id=usable_id,
            unusable_record_id=None if record_id is None else usable_id is None,
            state=parse_state(run.get("state"), token),
            baseline_count=parse_count(run.get("baseline_count")),
        )

    def updated(self, newer: Self) -> Self:
        """Return this run with everything that a newer answer says."""
        known = {field.name: getattr(newer, field.name) for field in fields(newer)}
        return replace(self, **{name: value for name, value in known.items() if value is not None})


@dataclass(frozen=True)
class Envelope:
    """The `status` (None if it is not a number) and `body` (None if there is none) of an answer."""

    status: int | None = None
    body: object = None

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Parse an answer; an empty one is an empty envelope. Raises ValueError if it is not JSON."""
        try:
            text = content.decode("utf-8-sig")
            answer = json.loads(text, parse_constant=_refuse_constant) if text else {}
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(answer, dict):
            return cls()
        status = answer.get("status")
        return cls(status if type(status) is int else None, answer.get("body"))

    def detail(self, token: str) -> str:
        """Return what the body of an error says as prose, without the token, cut to a readable length."""
        text = "" if self.body is None else _prose(self.body)
        # The token is removed before the cut, which could leave a piece of it.
        return hide(token, text)[:_MAX_DETAIL]


def decompress(content: bytes, encoding: str) -> bytes:
    """Return the content without its Content-Encoding; raises ValueError if it is damaged or too long."""
    try:
        if encoding.lower() == "gzip":
            import gzip  # noqa: PLC0415 - requests ask for none, so this is rare
            import io  # noqa: PLC0415

            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(MAX_ANSWER_BYTES + 1)
        elif encoding.lower() == "deflate":
            content = zlib.decompressobj().decompress(content, MAX_ANSWER_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise ValueError("damaged compression") from None
    if len(content) > MAX_ANSWER_BYTES:
        raise ValueError("too long")
    return content


def _prose(value: object, depth: int = 4) -> str:
    """Write JSON as a line: {"a": {"error": "b"}} becomes "a: error: b"."""
    if isinstance(value, dict) and depth:
        return ", ".join(f"{key}: {_prose(item, depth - 1)}" for key, item in value.items())
    if isinstance(value, list) and depth:
        return ", ".join(_prose(item, depth - 1) for item in value)
    return "..." if isinstance(value, dict | list) else str(value)


def check_id(run: Mapping[str, object], token: str, *ids: str) -> None:
    """Raise TransientError if the `id` in an answer is none of these."""
    if run.get("id") is not None and parse_id(run["id"], token) not in ids:
        raise TransientError(RefusedError, "the answer is about another test run")


def parse_id(value: object, token: str) -> str | None:
    """Return an id, which may be a number or a string, or None if the value is none."""
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and _is_text(text, ID, token) else None


def parse_state(value: object, token: str) -> str | None:
    """Return the state of a run, or None if the value is none."""
    return value if isinstance(value, str) and _is_text(value, _STATE, token) else None


def parse_count(value: object) -> int | None:
    """Return a count, or None if the value is none."""
    return value if type(value) is int and 0 <= value < _MAX_COUNT else None


def _is_text(value: str, form: re.Pattern[str], token: str) -> bool:
    return form.fullmatch(value) is not None and token not in value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
