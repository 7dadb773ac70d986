"""The job summary, as GitHub would render it, and the log lines of the results."""

import json
import re
import shlex

import pytest
from markdown_it import MarkdownIt

from tests.conftest import TOKEN
from wallarm_fast.errors import InputError, InternalError, RefusedError, SignalError
from wallarm_fast.stop.errors import TooFewBaselinesError
from wallarm_fast.stop.results import StopReport, StopResult
from wallarm_fast.stop.summary import make_summary

API = "https://us1.api.wallarm.com"
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
# Stopped, still recording, recording unknown, already stopped, failed.
RESULTS = [StopResult("1", "9", recording, state="running", baseline_count=0) for recording in (False, True)]
RESULTS += [StopResult("2", "8"), StopResult("3", recording=False, already_stopped=True)]
FAILED, SIGNAL = (StopResult("4", error=error) for error in (RefusedError("x"), SignalError(15, "SIGTERM")))


class Page:
    """What is in a summary: elements in order, targets of links, rows of the table, text, code."""

    def __init__(self, report: StopReport) -> None:
        self.source = make_summary(report, [TOKEN])
        tokens = MARKDOWN.parse(self.source)
        parts = [part for token in tokens for part in token.children or [token]]
        texts = ["".join(part.content for part in token.children or []) for token in tokens]
        pairs = zip(tokens, texts[1:], strict=False)
        cells = [text for before, text in pairs if before.type in ("th_open", "td_open")]
        self.elements = [part.type for part in parts if not re.match("text|softbreak|inline", part.type)]
        self.links = [part.attrs[key] for part in parts for key in ("href", "src") if key in part.attrs]
        self.rows = [cells[start : start + 5] for start in range(0, len(cells), 5)]
        self.text = "\n".join(texts)
        self.code = "".join(part.content for part in parts if part.type == "fence")


def test_an_error_is_shown_as_it_is_but_for_the_token_and_is_no_markup() -> None:
    text = f"<script>x</script> ![x](https://e.example) <https://e.example> &lt; &#60; <!-- --> \\| {TOKEN}"
    text += "[x](javascript:x) `a` **b** _c_ ~~d~~ # e </td></table> | f |\n|---|\n\n# g\n\n- h\n\n```\ni"
    shown = text.replace(TOKEN, "***").split()
    plain, page = (Page(StopReport([StopResult("1", error=RefusedError(t))])) for t in ("plain", text))
    assert (page.elements, page.links, page.rows[1][:4]) == (plain.elements, [], ["1", "", "", ""])
    assert page.rows[1][4].split() == ["Request", "refused:", *shown]
    plain, page = (Page(StopReport(error=InputError(t))) for t in ("plain", text))
    assert (page.elements, page.links, page.rows) == (plain.elements, [], [])
    assert page.text.split() == ["Wallarm", "FAST:", "Bad", "input", *shown]


@pytest.mark.parametrize("sent", [9058, 0, int("1" * 128), "rec_0001", "007", "-5", "__b__"])
def test_ids_are_shown_as_they_are_and_the_next_step_is_a_call_with_the_record(sent: str | int) -> None:
    record_id = str(sent)
    page = Page(StopReport([StopResult("_a-_", record_id, url="https://my/_a-_"), RESULTS[1]], base_url=API))
    assert (page.rows[1][:2], page.links) == (["_a-_", record_id], ["https://my/_a-_"])
    *command, body = shlex.split(page.code.replace("\\\n", ""))
    header = "X-WallarmAPI-Token: $WALLARM_API_TOKEN"
    assert command == ["curl", "--fail-with-body", f"{API}/v1/test_run", "--header", header, "--json"]
    assert json.loads(body) == {"name": "copy", "test_record_id": sent}


def test_a_row_says_what_is_known_of_a_run_and_whether_recording_is_off() -> None:
    assert Page(StopReport([*RESULTS, FAILED])).rows == [
        ["Test run", "Test record", "State", "Baselines", "Outcome"],
        ["1", "9", "running", "0", "recording stopped"],
        ["1", "9", "running", "0", "recording"],
        ["2", "8", "", "", "stop accepted"],
        ["3", "", "", "", "already stopped"],
        ["4", "", "", "", "Request refused: x"],
    ]
    dry_run = [row[4] for row in Page(StopReport(RESULTS, dry_run=True)).rows[1:]]
    assert dry_run == ["not recording", "recording", "found", "not recording"]


def test_a_log_line_says_what_is_known_of_a_run_and_whether_recording_is_off() -> None:
    known, failure = "test record 9, baselines 0, state running", InternalError("y")
    assert list(StopReport([*RESULTS, FAILED], error=failure).outcomes()) == [
        *[("test run 1", f"recording stopped, {known}")] * 2,
        ("test run 2", "recording stopped, test record 8"),
        ("test run 3", "recording was already stopped"),
        *[("test run 4", FAILED.error), ("", failure)],
    ]
    dry_run = [str(line) for _, line in StopReport(RESULTS[:3], dry_run=True).outcomes()]
    found = [line.removeprefix("found, nothing changed; recording is ") for line in dry_run]
    assert found == [f"off, {known}", f"on, {known}", "unknown, test record 8"]


TITLES = {
    "recording stopped": StopReport(RESULTS),
    "dry run, nothing changed": StopReport(RESULTS, dry_run=True),
    "Too few baselines": StopReport([StopResult("5", error=TooFewBaselinesError("x")), FAILED]),
    "Interrupted": StopReport([FAILED, SIGNAL]),
    "Internal error": StopReport([FAILED, SIGNAL], error=InternalError("x")),
    "Bad input": StopReport(error=InputError("x")),
}


@pytest.mark.parametrize("title", TITLES)
def test_the_heading_names_the_outcome_and_later_steps_can_append(title: str) -> None:
    page = Page(TITLES[title])
    assert page.text.split("\n")[1] == f"Wallarm FAST: {title}"
    assert ("curl" in page.code, "None" in page.text) == (title == "recording stopped", False)
    appended = MARKDOWN.parse(f"{page.source}x")[len(MARKDOWN.parse(page.source)) :]
    assert [token.type for token in appended] == ["paragraph_open", "inline", "paragraph_close"]


@pytest.mark.parametrize(("size", "error"), [(30_000, None), (3_000, RefusedError("é|" * 150))])
def test_a_summary_stays_under_1_mib_and_says_what_it_left_out(size: int, error: RefusedError | None) -> None:
    shown = make_summary(StopReport([StopResult(f"{number}", error=error) for number in range(size)]), [])
    table, _, rest = shown.partition("\n\nand ")
    rows = re.findall(r"(?m)^\| \d+ \|.*\|$", shown)
    assert rest.startswith(f"{size - len(rows)} more test runs, see the output `results`\n")
    assert shown.isascii()
    assert 1_000_000 - len(rows[-1]) - 9 < len(table) < 1_000_000
