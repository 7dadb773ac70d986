"""What the job summaries of all steps have in common, in Markdown."""

from collections.abc import Collection, Iterator, Sequence

from wallarm_fast.errors import StepError
from wallarm_fast.text import escape_markdown, sanitize_line

# GitHub drops a summary of more than 1 MiB altogether.
SUMMARY_LIMIT = 1_000_000


def heading(title: str, errors: Sequence[StepError], secrets: Collection[str]) -> Iterator[str]:
    """Yield the lines of the heading, and a paragraph for each message of the step's own errors."""
    yield from (f"### Wallarm FAST: {title}", "")
    for error in errors:
        for message in error.messages():
            yield from (escape_markdown(sanitize_line(message, secrets)), "")


def run_cell(test_run_id: str, url: str | None) -> str:
    """Return the id of a test run, as a link if its page is known."""
    run = escape_markdown(test_run_id)
    return f"[{run}]({url})" if url else run
