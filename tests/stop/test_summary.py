"""The job summary, as GitHub would render it, the log lines of the results, and the error that decides."""

import re

import pytest
from markdown_it import MarkdownIt

from tests.harness import TOKEN, stop_result
from wallarm_fast import errors
from wallarm_fast.errors import StepError
from wallarm_fast.stop.errors import NotConfirmedError, TooFewBaselinesError
from wallarm_fast.stop.report import StopReport

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
REFUSED, BUG, INPUT = errors.RefusedError("x"), errors.InternalError("y"), errors.InputError("a", "b")
UNREACHABLE, SIGNAL, FEW = errors.UnreachableError("x"), errors.SignalError(2), TooFewBaselinesError("x")
# Stopped, still recording, recording unknown, already stopped; without baselines; failed.
DRY_RUN = [
    stop_result("1", "9", recording, state="running", baseline_count=5, dry_run=True)
    for recording in (False, True)
]
DRY_RUN += [stop_result("2", "8", dry_run=True)]
RESULTS = [stop_result("1", "9", recording, state="running", baseline_count=5) for recording in (False, True)]
RESULTS += [stop_result("2", "8"), stop_result("3", recording=False, already_stopped=True)]
EMPTY, SHORT = (stop_result("6", "7", False, baseline_count=0, error=error) for error in (None, FEW))
FAILED = stop_result("4", error=REFUSED)


class Page:
    """What is in a summary: elements in order, targets of links, rows of the table, text."""

    def __init__(self, report: StopReport) -> None:
        self.source = report.make_outputs([TOKEN]).summary
        tokens = MARKDOWN.parse(self.source)
        parts = [part for token in tokens for part in token.children or [token]]
        texts = ["".join(part.content for part in token.children or []) for token in tokens]
        pairs = zip(tokens, texts[1:], strict=False)
        cells = [text for before, text in pairs if before.type in ("th_open", "td_open")]
        self.elements = [part.type for part in parts if not re.match("text|softbreak|inline", part.type)]
        self.links = [part.attrs[key] for part in parts for key in ("href", "src") if key in part.attrs]
        self.rows = [cells[start : start + 5] for start in range(0, len(cells), 5)]
        self.text = "\n".join(texts)


def test_an_error_is_shown_as_it_is_but_for_the_token_and_is_no_markup() -> None:
    text = f"<script>x</script> ![x](https://e.example) <https://e.example> &lt; &#60; <!-- --> \\| {TOKEN}"
    text += "[x](javascript:x) `a` **b** _c_ ~~d~~ # e </td></table> | f |\n|---|\n\n# g\n\n- h\n\n```\ni"
    shown = text.replace(TOKEN, "***").split()
    results = (stop_result("1", error=errors.NotFoundError(shown)) for shown in ("plain", text))
    plain, page = (Page(StopReport(results=[result])) for result in results)
    assert page.elements == plain.elements
    assert page.links == []
    assert page.rows[1][:4] == ["1", "", "", ""]
    assert page.rows[1][4].split() == ["Test", "run", "not", "found:", *shown]
    plain, page = (Page(StopReport(errors=[errors.InputError(t)])) for t in ("plain", text))
    assert page.elements == plain.elements
    assert page.links == []
    assert page.rows == []
    assert page.text.split() == ["Wallarm", "FAST:", "Bad", "input", *shown]


@pytest.mark.parametrize("record_id", ["9058", "0", "1" * 128, "rec_0001", "007", "-5", "__b__"])
def test_ids_are_shown_as_they_are_and_the_next_step_names_the_record(record_id: str) -> None:
    results = [stop_result("_a-_", record_id, url="https://my/_a-_"), RESULTS[1]]
    page = Page(StopReport(results=results))
    assert page.rows[1][:2] == ["_a-_", record_id]
    assert page.links == ["https://my/_a-_"]
    assert f"run the verdict step with copy: true and test_record_id: {record_id}." in page.text


def test_a_row_says_what_is_known_of_a_run_and_whether_recording_is_off() -> None:
    assert Page(StopReport(results=[*RESULTS, EMPTY, FAILED])).rows == [
        ["Test run", "Test record", "State", "Baselines", "Outcome"],
        ["1", "9", "running", "5", "recording stopped"],
        ["1", "9", "running", "5", "recording"],
        ["2", "8", "", "", "stop accepted"],
        ["3", "", "", "", "already stopped"],
        ["6", "7", "", "0", "recording stopped, but the record is empty"],
        ["4", "", "", "", "Request refused: x; recording may still be on"],
    ]
    dry_run = [row[4] for row in Page(StopReport(results=DRY_RUN, dry_run=True)).rows[1:]]
    assert dry_run == ["not recording", "recording", "found"]


def test_a_log_line_says_what_is_known_of_a_run_and_whether_recording_is_off() -> None:
    known = "test record 9, baselines 5, state running"
    assert list(StopReport(results=[*RESULTS, FAILED], errors=[BUG, INPUT]).log_lines()) == [
        *[(f"test run 1: recording stopped, {known}", None)] * 2,
        ("test run 2: recording stopped, test record 8", None),
        ("test run 3: recording was already stopped", None),
        ("test run 4: x; recording may still be on", REFUSED),
        *[("y", BUG), ("a", INPUT), ("b", INPUT)],
    ]
    dry_run = [line for line, _ in StopReport(results=DRY_RUN, dry_run=True).log_lines()]
    found = [line.partition(": found, nothing changed; recording is ")[2] for line in dry_run]
    assert found == [f"off, {known}", f"on, {known}", "unknown, test record 8"]


UNCERTAIN = [errors.TokenRefusedError("x"), REFUSED, errors.UnusableResponseError("x"), UNREACHABLE, SIGNAL]
UNCERTAIN += [errors.SignalError(15)]
SURE = [BUG, INPUT, errors.OutputError("x"), errors.NotFoundError("x"), NotConfirmedError("x"), FEW]


@pytest.mark.parametrize("recording", [True, None])
@pytest.mark.parametrize("error", UNCERTAIN, ids=repr)
def test_a_failure_says_that_recording_may_be_on(error: StepError, recording: bool | None) -> None:
    message = stop_result("1", recording=recording, error=error).error_text
    assert message == f"{error}; recording may still be on"


@pytest.mark.parametrize("error", [*UNCERTAIN, *SURE], ids=repr)
def test_a_failure_does_not_say_so_if_recording_is_off(error: StepError) -> None:
    for dry_run in (True, False):
        assert stop_result("1", recording=False, dry_run=dry_run, error=error).error_text == str(error)


@pytest.mark.parametrize("error", [*UNCERTAIN, *SURE], ids=repr)
def test_a_failure_does_not_say_so_in_a_dry_run(error: StepError) -> None:
    for recording in (True, None):
        assert stop_result("1", recording=recording, dry_run=True, error=error).error_text == str(error)


@pytest.mark.parametrize("error", SURE, ids=repr)
def test_a_failure_does_not_say_so_if_it_is_another_matter(error: StepError) -> None:
    for recording in (True, None):
        assert stop_result("1", recording=recording, error=error).error_text == str(error)


# A signal decides, then the first failed run, then the step itself, and last too few baselines.
TITLES = [
    ("recording stopped", StopReport(results=RESULTS)),
    ("recording stopped", StopReport(results=[EMPTY, *RESULTS])),
    ("dry run, nothing changed", StopReport(results=RESULTS, dry_run=True)),
    ("Request refused", StopReport(results=[FAILED, RESULTS[0]], dry_run=True)),
    ("Request refused, 1 of 2 stopped", StopReport(results=[RESULTS[0], FAILED], errors=[BUG])),
    ("Request refused, 3 of 4 stopped", StopReport(results=[RESULTS[2], SHORT, FAILED, EMPTY])),
    ("API not reachable, 0 of 2 stopped", StopReport(results=[stop_result("5", error=UNREACHABLE), FAILED])),
    (
        "Interrupted, 0 of 2 stopped",
        StopReport(results=[FAILED, stop_result("5", error=SIGNAL)], errors=[BUG]),
    ),
    ("Interrupted", StopReport(results=[FAILED], errors=[BUG, SIGNAL])),
    ("Internal error, 2 of 2 stopped", StopReport(results=[SHORT, SHORT], errors=[BUG, INPUT])),
    ("Too few baselines", StopReport(results=[SHORT])),
    ("Bad input", StopReport(errors=[INPUT])),
]


@pytest.mark.parametrize(("title", "report"), TITLES)
def test_the_heading_names_the_outcome(title: str, report: StopReport) -> None:
    page = Page(report)
    assert page.text.split("\n")[1] == f"Wallarm FAST: {title}"
    assert "None" not in page.text


@pytest.mark.parametrize(("title", "report"), TITLES)
def test_what_another_step_appends_is_a_paragraph_of_its_own(title: str, report: StopReport) -> None:
    page = Page(report)
    appended = MARKDOWN.parse(f"{page.source}x")[len(MARKDOWN.parse(page.source)) :]
    assert [token.type for token in appended] == ["paragraph_open", "inline", "paragraph_close"]


def test_a_record_with_baselines_is_to_be_copied() -> None:
    assert "copy: true" in Page(StopReport(results=RESULTS)).text


NOT_COPIED = [report for title, report in TITLES if title != "recording stopped"]


@pytest.mark.parametrize("report", [StopReport(results=[EMPTY, *RESULTS]), *NOT_COPIED])
def test_no_record_is_to_be_copied_after_any_other_outcome(report: StopReport) -> None:
    assert "copy: true" not in Page(report).text


@pytest.mark.parametrize(("size", "error"), [(30_000, None), (3_000, errors.RefusedError("é|" * 150))])
def test_a_summary_stays_under_1_mib_and_says_what_it_left_out(size: int, error: StepError | None) -> None:
    results = [stop_result(f"{number}", error=error) for number in range(size)]
    shown = StopReport(results=results).make_outputs([]).summary
    table, _, rest = shown.partition("\n\nand ")
    rows = re.findall(r"(?m)^\| \d+ \|.*\|$", shown)
    assert rest.startswith(f"{size - len(rows)} more, see the outputs\n")
    assert shown.isascii()
    assert 1_000_000 - len(rows[-1]) - 200 < len(table) < 1_000_000
