"""Parsers of input values. Each raises a ValueError that says what is wrong and what would be right.

A message shows an invalid value only where it cannot be a secret that was put into the wrong place.
"""

import re
import ssl
from contextlib import suppress
from pathlib import Path

from wallarm_fast.api.responses import ID
from wallarm_fast.text import LONGEST_SECRET

_TOKEN = re.compile(r"[\x21-\x7e]+")
# Of a shell, and of Azure Pipelines and Jenkins.
_VARIABLE = re.compile(r"\$(\w+|\{[\w.]+\}|\([\w.-]+\))")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----")
_BOOLEANS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(
    ("false", "no", "off", "0"), False
)
_NOT_AN_ID = "is not an id; an id has 1 to 128 of the characters A-Z a-z 0-9 _ -"
_DAY = 86_400
_FILE_LIMIT = 4 << 20
_QUOTED_LENGTH = 40


def parse_token(text: str) -> str:
    """Check that the token fits into an HTTP header, and is not what people pass by mistake."""
    if not text:
        raise ValueError(
            "is required; pass the input token, or set WALLARM_API_TOKEN or WALLARM_API_TOKEN_FILE "
            "(is the secret defined, and available to this job?)"
        )
    if len(text) > LONGEST_SECRET:
        raise ValueError(
            f"has more than {LONGEST_SECRET} characters (not shown here); is it the right secret, or file?"
        )
    if _is_quoted(text):
        raise ValueError(
            "is in quotes, which are taken as a part of it (as in a file for --env-file); remove them"
        )
    if _VARIABLE.fullmatch(text):
        raise ValueError("looks like a variable that was not expanded (not shown here)")
    if _is_file(text):
        raise ValueError(
            "is the path of a file (a CI variable of the type File?); set WALLARM_API_TOKEN_FILE to the path"
        )
    if not _TOKEN.fullmatch(text):
        raise ValueError(
            "has white space, a control character or a non-ASCII letter inside (not shown here); "
            "copy it again, without line breaks"
        )
    return text


def refuse_token(text: str, token: str) -> None:
    """Raise ValueError if the text contains the token, which is not to be shown."""
    if token and token in text:
        raise ValueError('contains the token; pass the token only in the input "token"')


def parse_test_run_ids(text: str) -> tuple[str, ...]:
    """Parse one or more ids, separated by commas or white space, or a YAML or JSON list. Drops duplicates."""
    return _parse_ids(text, "test_run_id", "recording")


def parse_test_record_ids(text: str) -> tuple[str, ...]:
    """Parse ids of test records in the same forms."""
    return _parse_ids(text, "test_record_id", "stop")


def _parse_ids(text: str, name: str, job: str) -> tuple[str, ...]:
    if re.match(r"\[|-(--)?\s", text):
        ids = _parse_list(text)
    else:
        ids = [part for part in re.split(r"[\s,]+", text) if part]
    if not ids or ids == ["null"]:  # what jq prints of nothing
        raise ValueError(
            f"is required; pass the input {name}, or set {name.upper()} "
            f"(did the {job} job define this output?)"
        )
    for position, value in enumerate(ids, start=1):
        which = f"entry {position} of {len(ids)}" if len(ids) > 1 else "it"
        if value == "null":
            raise ValueError(f"{which} is null (did the {job} job define this output?)")
        if not ID.fullmatch(value):
            raise ValueError(f"{which} {_explain_bad_id(value)}")
    return tuple(dict.fromkeys(ids))


def parse_id(text: str) -> str:
    """Parse a single id."""
    if not ID.fullmatch(text):
        raise ValueError(_explain_bad_id(text))
    return text


def _explain_bad_id(text: str) -> str:
    if _VARIABLE.fullmatch(text):
        return f"is {quote(text)}, which looks like a variable that was not expanded"
    if "$" in text:
        return f"{_NOT_AN_ID} (a variable that was not expanded?)"
    return f"{_NOT_AN_ID}; remove the quotes" if _is_quoted(text) else _NOT_AN_ID


def parse_text(text: str) -> str:
    """Parse any text; bytes that are not UTF-8 come as characters that cannot be sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8 text") from None
    return text


def parse_seconds(text: str) -> float:
    """Parse a number of seconds, at most a day."""
    if not _SECONDS.fullmatch(text) or float(text) > _DAY:
        raise ValueError(f"must be a number of seconds, 0 to {_DAY}, not {quote(text)}")
    return float(text)


def parse_timeout(text: str) -> float:
    """Parse a number of seconds that is more than 0, at most a day."""
    if not _SECONDS.fullmatch(text) or not 0 < float(text) <= _DAY:
        raise ValueError(f"must be a number of seconds, more than 0 and at most {_DAY}, not {quote(text)}")
    return float(text)


def parse_whole_number(text: str, least: int = 0, most: int | None = None) -> int:
    """Parse a whole number in these limits."""
    if not _WHOLE_NUMBER.fullmatch(text) or not least <= int(text) <= (most or int(text)):
        limits = f"{least} or more" if most is None else f"{least} to {most}"
        raise ValueError(f"must be a whole number, {limits}, not {quote(text)}")
    return int(text)


def parse_limit(text: str, most: int) -> int | None:
    """Parse a whole number up to the limit; 0 is None, the default."""
    return parse_whole_number(text, most=most) or None


def parse_boolean(text: str) -> bool:
    """Parse true or false, in any case; yes, no, on, off, 1 and 0 are accepted, too."""
    if (value := _BOOLEANS.get(text.lower())) is None:
        raise ValueError(f"must be true or false, not {quote(text)}")
    return value


def parse_certificates(text: str) -> str:
    """Return the PEM certificates in the text, or in the file that it names."""
    advice = "use the path of a PEM file (relative to the working directory) or the PEM text itself"
    try:
        content = text if "-----BEGIN" in text else read_small_file(text)
    except ValueError as problem:
        raise ValueError(f"the file {quote(text)} {problem}; {advice}") from None
    # On the way through an environment file, line breaks become \n or blanks.
    pem = ""
    for body in _CERTIFICATE.findall(content):
        lines = re.findall(".{1,64}", re.sub(r"\\[rn]|\s", "", body))
        pem += "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ValueError, ssl.SSLError):  # ValueError: there is none
        raise ValueError(f"has no valid certificate in it; {advice}") from None
    return pem


def read_small_file(path: str) -> str:
    """Read a regular text file; a device or a pipe could block forever. The ValueError names no path."""
    file = Path(path)
    try:
        if file.exists() and not file.is_file():
            raise ValueError("is not a regular file")
        with file.open("rb") as stream:
            return stream.read(_FILE_LIMIT).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def quote(text: str) -> str:
    """Return the text in quotes, shortened if it is long."""
    return repr(text if len(text) <= _QUOTED_LENGTH else f"{text[:_QUOTED_LENGTH]}...")


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _parse_list(text: str) -> list[str]:
    import yaml  # noqa: PLC0415 - plain ids, the usual case, need no YAML

    ids = None
    with suppress(yaml.YAMLError, ValueError, OverflowError, RecursionError):
        ids = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but lists, mappings and strings
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        raise ValueError("starts like a YAML or JSON list, but is not a list of plain ids")
    return ids
