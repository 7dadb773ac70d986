"""Text that may be hostile, made safe to print."""

import html
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stop_recording.reporting.text import markdown, one_line

# Like tokens, and not a part of what the functions themselves put into a text.
SECRETS = st.from_regex(r"[A-Za-z0-9/+=_-]{8,40}", fullmatch=True)
NASTY = st.text(
    st.sampled_from(list(":#[]%\r\n\x1b\t \x00add-mask*")) | st.characters(codec=None), max_size=60
)

# What the runner looks for: a command after white space at the start of a line, an old one anywhere.
COMMAND = re.compile(r"^\s*::", re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("plain text, ünïcode too: 日本", "plain text, ünïcode too: 日本"),
        ("a\nb\r\nc", "a b  c"),
        ("a\x0bb\x0cc\x85d\N{LINE SEPARATOR}e\N{PARAGRAPH SEPARATOR}f", "a b c d e f"),
        ("\x1b[31mred\x1b[0m", " [31mred [0m"),
        ("\x9b31m", " 31m"),
        ("a\x00b\x07c\x08d\x7fe", "a b c d e"),
        ("safe\N{RIGHT-TO-LEFT OVERRIDE}txt.exe", "safe txt.exe"),
        ("zero\N{ZERO WIDTH SPACE}width\N{ZERO WIDTH NO-BREAK SPACE}", "zero width "),
        ("\ud800", " "),
        ("::error::x", ": :error::x"),
        ("  ::error::x", ": :error::x"),
        ("\n::add-mask::e", ": :add-mask::e"),
        ("\N{ZERO WIDTH NO-BREAK SPACE}::x::", ": :x::"),
        ("a ::error::x", "a ::error::x"),
        ("##[error]x", "# #[error]x"),
        ("a ###[b", "a ## #[b"),
        ("a ##vso[b", "a # #vso[b"),
        ("##[##[x", "# #[# #[x"),
        ("##\n[x", "## [x"),
    ],
)
def test_a_line_holds_nothing_that_a_terminal_or_runner_acts_upon(text: str, line: str) -> None:
    assert one_line(text) == line


@given(NASTY, st.lists(SECRETS, max_size=2))
@example("::\n", [])
@example(":::::", [])
@example("#" * 5 + "[", [])
@example("\x1c::x", [])
def test_any_text_becomes_one_line_without_control_characters_or_commands(
    text: str, secrets: list[str]
) -> None:
    line = one_line(text, secrets)
    assert line.isprintable()
    assert not [character for character in line if unicodedata.category(character)[0] == "C"]
    assert len(line.splitlines()) <= 1
    assert not COMMAND.search(line)
    assert "##[" not in line


@given(NASTY, SECRETS, NASTY)
@example("::", "secret12", "")
@example("##", "secret12", "[")
@example("secret12"[:4], "secret12", "secret12"[4:])
def test_no_text_shows_a_secret(before: str, secret: str, after: str) -> None:
    line = one_line(f"{before}{secret}{after}{secret}", [secret])
    assert secret not in line
    assert "***" in line
    assert not COMMAND.search(line)
    assert "##[" not in line


@given(NASTY)
def test_a_safe_line_stays_as_it_is(text: str) -> None:
    assert one_line(one_line(text)) == one_line(text)


@given(st.text())
def test_escaped_text_has_nothing_that_markdown_or_html_knows(text: str) -> None:
    assert re.fullmatch(r"(?:[A-Za-z0-9 ]|&#[0-9]+;)*", markdown(text))


@given(NASTY.map(one_line))
def test_escaped_text_reads_as_before(text: str) -> None:
    assert html.unescape(markdown(text)) == text
