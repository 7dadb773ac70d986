"""Makes text safe to print. The API may send anything; wherever it is shown, it must remain data."""

import re
from collections.abc import Collection
from functools import cache

MASK = "***"
_HTML_NAMES = {"&": "amp", '"': "quot", "'": "apos", "<": "lt", ">": "gt"}


def mask(secret: str, text: str) -> str:
    """Return the text with the secret masked, also if characters are escaped for a URL, JSON or HTML."""
    return _pattern(secret).sub(MASK, text) if re.search(r"[%&\\]", text) else text.replace(secret, MASK)


@cache
def _pattern(secret: str) -> re.Pattern[str]:
    def spellings(character: str) -> str:
        number = ord(character)
        escaped = rf"%{number:02x}|\\u{number:04x}|&#0*{number};|&#x0*{number:x};"
        if name := _HTML_NAMES.get(character):
            escaped += f"|&{name};"
        return rf"(?:\\?{re.escape(character)}|(?i:{escaped}))"

    return re.compile("".join(map(spellings, secret)))


def sanitize_line(text: str, secrets: Collection[str] = ()) -> str:
    """Return the text as a single line without secrets that no terminal and no CI runner interprets.

    Control, format and other unprintable characters become spaces, so there are no line breaks, no ANSI
    sequences and no changes of writing direction. GitHub's runner takes `::x::` at the start of a line for a
    command, and the old form `##[x]` anywhere; Azure Pipelines reads `##vso[x]`. All three are broken up.
    """
    for secret in secrets:
        text = mask(secret, text)
    text = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(r"^\s*:(?=:)", ": ", text).replace("##[", "# #[").replace("##vso[", "# #vso[")


def escape_markdown(text: str) -> str:
    """Return the text with everything but letters, digits and spaces as HTML entities."""
    return re.sub(r"[^A-Za-z0-9 ]", lambda found: f"&#{ord(found[0])};", text)


def as_json_id(text: str) -> int | str:
    """Return an id as it is in JSON: a number if it can be one."""
    return int(text) if re.fullmatch(r"0|[1-9][0-9]*", text) else text


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: 1 baseline, 2 vulnerabilities, no tests."""
    if count != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count or 'no'} {noun}"
