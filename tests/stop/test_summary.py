"""The job summary, seen as GitHub would show it."""

import json
import re
import shlex
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from stop_recording.errors import (
    BadInput,
    InternalError,
    Refused,
    StopRecordingError,
    TokenRefused,
    TooFewBaselines,
)
from stop_recording.reporting.summary import summary
from stop_recording.result import Report, StopResult
from tests.conftest import TOKEN

PORTAL = "https://us1.my.wallarm.com/testing/testruns/"
MIB = 1 << 20

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/x.png)",
    "[click](https://evil.example)",
    "[click](javascript:alert(1))",
    "<https://evil.example>",
    "https://evil.example www.evil.example me@evil.example",
    "| a | b |\n|---|---|",
    "x |\n| y",
    "\\| \\",
    "`code` **bold** _it_ ~~gone~~ # head",
    "\n\n# heading\n\n- item\n\n```\ncode",
    "&lt;b&gt; &#60;b&#62; &amp;",
    "<!-- -->",
    "[x]: https://evil.example",
    "</td></tr></table>",
    "$$x$$ :smile: @someone #1",
]


@dataclass
class Page(HTMLParser):
    """What is on a page: tags in order, targets of links, the text of each table cell, all other text."""

    tags: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    code: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    @classmethod
    def of(cls, markdown: str) -> "Page":
        """Render with tables, strike-through and HTML, as GitHub has them."""
        page = cls()
        page.feed(
            MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
        )
        page.close()
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text += data
        if "code" in self.open:
            self.code += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        self.tags.append("comment")


def run(number: int = 1, **more: Any) -> StopResult:  # noqa: ANN401 - the fields of StopResult
    known = {
        "test_record_id": f"{9000 + number}",
        "recording": False,
        "state": "running",
        "baseline_count": 5,
        "url": f"{PORTAL}{number}",
    }
    return StopResult(str(number), **{**known, **more})


def report(*results: StopResult, dry_run: bool = False) -> Report:
    return Report(results, base_url="https://us1.api.wallarm.com", dry_run=dry_run)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("error", [Refused, TokenRefused, TooFewBaselines, InternalError])
def test_what_the_api_said_is_shown_as_text_and_makes_no_markup(
    text: str, error: type[StopRecordingError]
) -> None:
    plain = Page.of(summary(report(run(error=error("plain"))), []))
    page = Page.of(summary(report(run(error=error(text))), []))
    assert page.tags == plain.tags
    assert page.links == plain.links == [f"{PORTAL}1"]
    assert len(page.rows) == 2
    assert page.rows[1][4].split() == f"{error.title}: {text}".split()


@pytest.mark.parametrize("text", HOSTILE)
def test_what_was_wrong_with_an_input_is_shown_as_text_and_makes_no_markup(text: str) -> None:
    page = Page.of(summary(Report(error=BadInput(text)), []))
    assert page.tags == ["h3", "p"]
    assert page.links == []
    assert text.split() == page.text.removeprefix("Wallarm FAST: Bad input").split()


@given(st.text(max_size=80), st.text(max_size=80))
@example("a\\", "|")
def test_no_error_text_changes_the_shape_of_the_page(first: str, second: str) -> None:
    plain = Page.of(summary(report(run(1, error=Refused("x")), run(2, error=Refused("x"))), []))
    page = Page.of(summary(report(run(1, error=Refused(first)), run(2, error=Refused(second))), []))
    assert page.tags == plain.tags
    assert page.links == [f"{PORTAL}1", f"{PORTAL}2"]
    assert [row[:4] for row in page.rows] == [row[:4] for row in plain.rows]


@given(
    st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
)
@example("_a_", "__b__")
@example("-", "-")
def test_any_id_is_shown_as_it_is(test_run_id: str, test_record_id: str) -> None:
    result = StopResult(test_run_id, test_record_id, recording=False, url=PORTAL + test_run_id)
    page = Page.of(summary(report(result), []))
    assert page.rows[1][:2] == [test_run_id, test_record_id]
    assert page.links == [PORTAL + test_run_id]


def test_the_summary_is_one_heading_and_one_table_that_links_to_the_portal() -> None:
    page = Page.of(
        summary(
            report(run(1), run(2, already_stopped=True), run(3, baseline_count=0), run(4, state=None)), []
        )
    )
    assert page.tags.count("h3") == 1
    assert page.tags.count("table") == 1
    assert page.links == [f"{PORTAL}{number}" for number in (1, 2, 3, 4)]
    assert page.rows == [
        ["Test run", "Test record", "State", "Baselines", "Outcome"],
        ["1", "9001", "running", "5", "recording stopped"],
        ["2", "9002", "running", "5", "was stopped already"],
        ["3", "9003", "running", "0", "recording stopped"],
        ["4", "9004", "", "5", "recording stopped"],
    ]


def test_a_run_of_no_known_portal_has_no_link_and_what_is_not_known_stays_empty() -> None:
    page = Page.of(summary(report(StopResult("1", error=Refused("no"))), []))
    assert page.links == []
    assert page.rows[1] == ["1", "", "", "", "Request refused: no"]


@pytest.mark.parametrize(
    ("made", "title"),
    [
        (report(run()), "recording stopped"),
        (report(run(), dry_run=True), "dry run, nothing changed"),
        (report(run(1), run(2, error=TooFewBaselines("x"))), "Too few baselines"),
        (Report(error=BadInput("x")), "Bad input"),
        (Report(error=InternalError("x")), "Bug in the stop-recording step"),
    ],
)
def test_the_heading_tells_the_outcome(made: Report, title: str) -> None:
    assert Page.of(summary(made, [])).text.startswith(f"Wallarm FAST: {title}\n")


@pytest.mark.parametrize(
    ("recording", "outcome"), [(True, "recording"), (False, "recording stopped"), (None, "stop accepted")]
)
def test_the_outcome_tells_whether_recording_is_off(recording: bool | None, outcome: str) -> None:
    page = Page.of(summary(report(run(recording=recording)), []))
    assert page.rows[1][4] == outcome


def test_the_summary_ends_its_last_line_so_that_others_can_append() -> None:
    for made in (report(run()), report(run(error=Refused("x"))), Report(error=BadInput("x"))):
        assert summary(made, []).endswith("\n\n")


# How to go on.


@pytest.mark.parametrize("record_id", ["9058", "rec_0001", "0", "007", "-5", "1_000", "1" * 128])
def test_the_next_step_is_a_call_whose_json_names_the_record(record_id: str) -> None:
    page = Page.of(summary(report(run(test_record_id=record_id)), []))
    words = shlex.split(page.code)
    sent = json.loads(words[words.index("--json") + 1])
    assert str(sent["test_record_id"]) == record_id
    assert words[:3] == ["curl", "--fail-with-body", "https://us1.api.wallarm.com/v1/test_run"]


def test_the_next_step_names_the_token_by_its_variable() -> None:
    assert "X-WallarmAPI-Token: $WALLARM_API_TOKEN" in Page.of(summary(report(run()), [TOKEN])).code


@pytest.mark.parametrize(
    "made", [report(run(error=Refused("x"))), report(run(), dry_run=True), Report(error=BadInput("x"))]
)
def test_there_is_no_next_step_where_nothing_was_stopped(made: Report) -> None:
    assert "curl" not in summary(made, [])


# Secrets.


@pytest.mark.parametrize(
    "made",
    [
        report(run(error=Refused(f"bad token {TOKEN}"))),
        Report(error=BadInput(f"not {TOKEN}")),
    ],
    ids=["error of a run", "error of the step"],
)
def test_the_token_is_in_no_part_of_the_summary(made: Report) -> None:
    shown = summary(made, [TOKEN])
    assert TOKEN not in shown
    assert TOKEN not in Page.of(shown).text


# Size.


@pytest.mark.parametrize(
    ("size", "error"), [(2, None), (30_000, None), (2, Refused("é|" * 150)), (3_000, Refused("é|" * 150))]
)
def test_a_summary_of_very_many_runs_stays_under_1_mib_and_says_what_it_left_out(
    size: int, error: Refused | None
) -> None:
    shown = summary(report(*(run(number, error=error) for number in range(size))), [])
    assert len(shown.encode()) < MIB
    rows = re.findall(r"(?m)^\| \[\d+\]\(.*\|$", shown)
    left_out = re.search(r"(?m)^\nand (\d+) more test runs, see the output `results`$", shown)
    assert len(rows) + (int(left_out[1]) if left_out else 0) == size
    assert bool(left_out) == (size > 2)
    if left_out:
        assert len(shown.encode()) > MIB // 2


@pytest.mark.parametrize(
    ("recording", "told"), [(True, "recording"), (False, "not recording"), (None, "found")]
)
def test_a_dry_run_tells_of_no_stop(recording: bool | None, told: str) -> None:
    shown = summary(Report([StopResult("1", recording=recording)], dry_run=True), [])
    assert shown.splitlines()[4].endswith(f"| {told} |")
    assert "stopped" not in shown
    assert "accepted" not in shown
