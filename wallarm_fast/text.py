"""Makes text safe to print. The API may send anything; wherever it is shown, it must remain data."""

import re
from collections.abc import Collection

MASK = "***"


def hide(secret: str, text: str) -> str:
    """Return the text with the secret masked, even if some or all of its characters are URL-encoded."""
    if "%" not in text:
        return text.replace(secret, MASK)
    pattern = "".join(f"(?:{re.escape(character)}|(?i:%{ord(character):02x}))" for character in secret)
    return re.sub(pattern, MASK, text)


def sanitize_line(text: str, secrets: Collection[str] = ()) -> str:
    """Return the text as a single line without secrets that no terminal and no CI runner interprets.

    Control, format and other unprintable characters become spaces, so there are no line breaks, no ANSI
    sequences and no changes of writing direction. GitHub's runner takes `::x::` at the start of a line for a
    command, and the old form `##[x]` anywhere; Azure Pipelines reads `##vso[x]`. All three are broken up.
    """
    for secret in secrets:
        text = hide(secret, text)
    text = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(r"^\s*:(?=:)", ": ", text).replace("##[", "# #[").replace("##vso[", "# #vso[")


def escape_markdown(text: str) -> str:
    """Return the text with everything but letters, digits and spaces as HTML entities."""
    return re.sub(r"[^A-Za-z0-9 ]", lambda found: f"&#{ord(found[0])};", text)


def id_literal(text: str) -> int | str:
    """Return an id as it is in JSON: a number if it can be one."""
    return int(text) if re.fullmatch(r"0|[1-9][0-9]*", text) else text


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: 1 baseline, 2 vulnerabilities."""
    if count != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun}"
