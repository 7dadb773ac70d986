"""Text that may be hostile, made safe to print."""

import html
import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wallarm_fast.text import escape_markdown, sanitize_line

# Like tokens, and not a part of what the functions themselves put into a text.
SECRETS = st.from_regex(r"[A-Za-z0-9/+=_-]{8,40}", fullmatch=True)
PIECES = [*":#[]%\r\n\x1b\t \x00*.<&|\\`_@", "##vso[", "##TeamCity["]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.characters(codec=None), max_size=60).map("".join)
# What the runners look for: a command after white space at the start of a line, an old one anywhere.
COMMAND = re.compile(r"^\s*::|##[A-Za-z]*\[", re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        *[("", ""), ("plain ünïcode: 日本", "plain ünïcode: 日本"), ("\ud800", " "), ("a\nb\r\nc", "a b  c")],
        ("a\x0bb\x0cc\x85d\u2028e\u2029f\x00g\x7fh\u202ei\u200bj\ufeff", "a b c d e f g h i j "),
        *[("\x1b[31mred\x1b[0m", " [31mred [0m"), ("\x9b31m", " 31m"), ("a ::b::c", "a ::b::c")],
        *[("::a::b", ": :a::b"), ("\n ::a::b", ": :a::b"), ("##\n[a", "## [a"), ("##[a]b", "# #[a]b")],
        *[("a ###[b", "a ## #[b"), ("##[##[a", "# #[# #[a"), ("a ##vso[b", "a # #vso[b")],
        *[("##teamcity[a]", "# #teamcity[a]"), ("a ##VSO[b", "a # #VSO[b"), ("## a ###", "## a ###")],
    ],
)
def test_a_line_has_nothing_that_a_terminal_or_runner_interprets(text: str, line: str) -> None:
    assert sanitize_line(text) == line


@given(HOSTILE, st.lists(SECRETS, max_size=2, unique=True), HOSTILE)
@example("::", ["secret12"], "")
@example("##", ["secret12"], "[")
def test_any_text_becomes_a_line_without_commands_and_secrets(a: str, secrets: list[str], b: str) -> None:
    line = sanitize_line(a + " ".join(secrets) + b + "".join(secrets), secrets)
    assert line.isprintable()
    assert not COMMAND.search(line)
    assert not any(secret in line for secret in secrets)
    assert line.count("***") >= len(secrets)
    assert sanitize_line(line) == line
    assert html.unescape(escape_markdown(line)) == line
    assert re.fullmatch(r"(?:[A-Za-z0-9 ]|&#[0-9]+;)*", escape_markdown(a))


# Without hexadecimal digits, so that a part of an encoded character is not another character.
ENCODED = st.lists(st.sampled_from("x Z / %78 %5a %5A %2F %2f % %7 y %%".split()), max_size=12).map("".join)


@given(st.text("xZ/", min_size=1, max_size=3), ENCODED)
def test_a_secret_is_masked_however_it_is_url_encoded_and_other_text_is_kept(secret: str, text: str) -> None:
    line = sanitize_line(text, [secret])
    assert unquote(line) == unquote(text).replace(secret, "***")
    assert secret in unquote(text) or line == text
