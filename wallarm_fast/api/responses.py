"""Reads answers of the API, which may be hostile: only values of the expected form leave this module.

Every answer is an envelope: `{"status": 200, "body": {...}}`.
"""

import json
import re
from dataclasses import dataclass, fields, replace
from typing import NoReturn, Self

from wallarm_fast.errors import UnusableAnswerError

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STATE = re.compile(r"[a-z_]{1,32}")
_MAX_NUMBER = 10**12
_MAX_DETAIL = 200


@dataclass(frozen=True)
class TestRun:
    """What an answer says about a test run; None for what it does not say."""

    recording: bool | None = None
    test_record_id: str | None = None
    state: str | None = None
    baseline_count: int | None = None

    @classmethod
    def read(cls, body: object, token: str) -> Self:
        """Take what is usable from the body of an envelope.

        Ids may be numbers or strings. Raises UnusableAnswerError if the test record is named by anything
        else, or by something that contains the token.
        """
        run = body if isinstance(body, dict) else {}
        recording, record_id = run.get("recording"), run.get("test_record_id")
        state, count = run.get("state"), run.get("baseline_count")
        if _is_number(record_id):
            record_id = str(record_id)
        if record_id is not None and record_id != "" and not _is_text(record_id, _ID, token):
            raise UnusableAnswerError(
                "the API answered with a test_record_id that is not an id; check api_host"
            )
        return cls(
            recording=recording if isinstance(recording, bool) else None,
            test_record_id=record_id or None,
            state=state if _is_text(state, _STATE, token) else None,
            baseline_count=count if _is_number(count) else None,
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
            answer = json.loads(content.decode(), parse_constant=_refuse_constant) if content else {}
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
        return text.replace(token, "***")[:_MAX_DETAIL]


def _prose(value: object, depth: int = 4) -> str:
    """Write JSON as a line: {"a": {"error": "b"}} becomes "a: error: b"."""
    if isinstance(value, dict) and depth:
        return ", ".join(f"{key}: {_prose(item, depth - 1)}" for key, item in value.items())
    if isinstance(value, list) and depth:
        return ", ".join(_prose(item, depth - 1) for item in value)
    return "..." if isinstance(value, dict | list) else str(value)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < _MAX_NUMBER


def _is_text(value: object, form: re.Pattern[str], token: str) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None and token not in value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
