"""Text made safe to print. What the API sends may be hostile: it must stay data wherever it is shown."""

import re
from collections.abc import Iterable

MASK = "***"


def one_line(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without secrets, as one line that no terminal and no CI runner acts upon.

    Control, format and other invisible characters become spaces: no newline, no ANSI sequence, no reversal
    of the writing direction. GitHub's runner takes `::x::` at the start of a line as a command, and the old
    `##[x]` anywhere in it, Azure's `##vso[x]`; all are broken up.
    """
    for secret in secrets:
        text = text.replace(secret, MASK)
    text = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(r"^\s*:(?=:)", ": ", text).replace("##[", "# #[").replace("##vso[", "# #vso[")


def markdown(text: str) -> str:
    """Return the text so that Markdown and HTML show it as it is: all but letters and digits as entities."""
    return re.sub(r"[^A-Za-z0-9 ]", lambda found: f"&#{ord(found[0])};", text)
