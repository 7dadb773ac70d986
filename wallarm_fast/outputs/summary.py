"""The job summary, in Markdown."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from wallarm_fast.errors import StepError
from wallarm_fast.text import escape_markdown, sanitize_line

# GitHub drops a summary of more than 1 MiB altogether.
_LIMIT = 1_000_000


@dataclass(frozen=True)
class Link:
    """A test run with the address of its page, if that is known."""

    test_run_id: str
    url: str | None


@dataclass(frozen=True)
class Outcome:
    """What became of a test run: the title of its error, if there is one, and the outcome in words."""

    text: str
    error: StepError | None = None


Cell = Link | Outcome | str | int | None


@dataclass(frozen=True)
class Table:
    """A table: its columns (those in `numbers` are aligned to the right), its rows, and what it is of."""

    columns: Sequence[str]
    rows: Iterable[Sequence[Cell]]
    title: str = ""
    numbers: Collection[str] = ()


def make_summary(
    heading: str,
    errors: Sequence[StepError],
    tables: Iterable[Table],
    epilogue: Sequence[str],
    secrets: Collection[str],
) -> str:
    """Return the heading, a paragraph for each line of the errors, the tables, and the epilogue.

    It stays under 1 MiB: rows that do not fit are counted instead. Secrets are masked, and no text is markup.
    """
    lines = [f"### Wallarm FAST: {heading}", ""]
    for error in errors:
        for line in error.lines():
            lines += [_escape(line, secrets), ""]
    size = sum(len(line) + 1 for line in (*lines, *epilogue))
    for table in tables:
        left_out = 0
        for line, is_row in _lines(table, secrets):
            if size + len(line) >= _LIMIT:
                left_out += is_row
                continue
            size += len(line) + 1
            lines.append(line)
        lines += ["", f"and {left_out} more, see the outputs", ""] if left_out else [""]
    return "\n".join([*lines, *epilogue, ""])


def _lines(table: Table, secrets: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Yield the lines of the table, and whether they are rows."""
    if table.title:
        yield from ((f"{table.title}:", False), ("", False))
    yield f"| {' | '.join(table.columns)} |", False
    yield f"|{'|'.join('---:' if name in table.numbers else '---' for name in table.columns)}|", False
    for row in table.rows:
        yield f"| {' | '.join(_cell(cell, secrets) for cell in row)} |", True


def _cell(cell: Cell, secrets: Collection[str]) -> str:
    match cell:
        case None:
            return ""
        case Link(test_run_id, url):
            run = escape_markdown(test_run_id)
            return f"[{run}]({url})" if url else run
        case Outcome(text, error):
            label = f"**{error.title}**: " if error else ""
            return f"{label}{_escape(text, secrets)}"
    return _escape(str(cell), secrets)


def _escape(text: str, secrets: Collection[str]) -> str:
    return escape_markdown(sanitize_line(text, secrets))
