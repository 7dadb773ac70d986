"""Makes text safe to print. The API may send anything; wherever it is shown, it must remain data."""

import re
from collections.abc import Collection
from functools import cache

MASK = "***"
# No token is longer, and it would take long to look for all spellings of what is.
LONGEST_SECRET = 4096
# How an escaped character begins, also if it is escaped again: % becomes %25, & becomes &amp; or its number,
# and backslashes become more. These count from the first one, so that the time for a long row stays linear.
_PERCENT = "%(?:25)*"
_AMPERSAND = "&(?:(?:amp|#0*38|#x0*26);?)*"
_BACKSLASHES = r"(?<!\\)\\+"


def mask(secret: str, text: str) -> str:
    """Return the text with the secret masked, also if characters are escaped for a URL, JSON or HTML."""
    if len(secret) <= LONGEST_SECRET and re.search(r"[%&\\]", text):
        return _pattern(secret).sub(MASK, text)
    return text.replace(secret, MASK)


@cache
def _pattern(secret: str) -> re.Pattern[str]:
    from html.entities import html5  # noqa: PLC0415 - rarely needed

    def spellings(character: str) -> str:
        number = ord(character)
        names = {name.rstrip(";") for name, value in html5.items() if value == character}
        entity = "|".join([f"#0*{number}", f"#x0*{number:x}", *sorted(names)])
        code = rf"u{number:04x}|x{number:02x}|u\{{0*{number:x}\}}"
        escaped = rf"{_PERCENT}{number:02x}|{_BACKSLASHES}(?:{code})|{_AMPERSAND}(?:{entity});?"
        return rf"(?:(?:{_BACKSLASHES})?{re.escape(character)}|(?i:{escaped}))"

    known = {character: spellings(character) for character in set(secret)}
    return re.compile("".join(known[character] for character in secret))


def sanitize_line(text: str, secrets: Collection[str] = ()) -> str:
    """Return the text as a single line without secrets that no terminal and no CI runner interprets.

    Control, format and other unprintable characters become spaces, so there are no line breaks, no ANSI
    sequences and no changes of writing direction. GitHub's runner takes `::x::` at the start of a line for a
    command, and the old form `##[x]` anywhere; Azure Pipelines reads `##vso[x]`, TeamCity `##teamcity[x]`.
    All of them are broken up.
    """
    for secret in secrets:
        text = mask(secret, text)
    text = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(r"^\s*:(?=:)", ": ", re.sub(r"##(?=[A-Za-z\[])", "# #", text))


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
