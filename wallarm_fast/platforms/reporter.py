"""What all reporters have in common."""

import logging
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Self, TextIO

from wallarm_fast.errors import OutputError
from wallarm_fast.parallel import start_thread
from wallarm_fast.platforms.detection import Platform
from wallarm_fast.platforms.files import write_dotenv, write_file
from wallarm_fast.text import sanitize_line

# A reader that takes no lines for this long, in seconds, is not waited for.
STALLED_AFTER = 1.0
_LINES_AT_ONCE = 20
_package_log = logging.getLogger("wallarm_fast")


@dataclass(frozen=True)
class Publication:
    """What a step hands to the platform.

    `outputs` are the outputs of a GitHub action, `variables` the same for a dotenv file, `summary` is
    Markdown, `links` are addresses by their labels, and `files` texts by their paths.
    """

    outputs: Mapping[str, str]
    variables: Mapping[str, str]
    summary: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


class Reporter(logging.Handler, ABC):
    """Prints the log of the package and writes outputs. A context manager: it logs until its end.

    Every line passes through `emit`, which makes it safe to print.
    """

    def __init__(self, platform: Platform) -> None:
        super().__init__(logging.DEBUG if platform.debug else logging.INFO)
        self.platform = platform
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._printed = threading.Event()
        self._in_background = False

    def __enter__(self) -> Self:
        self._in_background = start_thread(self._print_lines)
        for secret in self.platform.secrets:
            self.mask(secret)
        _package_log.addHandler(self)
        _package_log.setLevel(self.level)
        _package_log.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        _package_log.removeHandler(self)
        self._lines.put(None)
        left = self._lines.qsize()
        while self._in_background and not self._printed.wait(STALLED_AFTER) and left != self._lines.qsize():
            left = self._lines.qsize()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a log record as one safe line; `extra={"title": ...}` gives an error its title."""
        line = sanitize_line(record.getMessage(), self.platform.secrets)
        self.print_line(self.format_line(record.levelno, line, getattr(record, "title", None)))

    def print_line(self, line: str) -> None:
        """Print in the background: a log that nobody reads must not keep the recording on."""
        if self._in_background:
            self._lines.put(line)
        else:
            self._print([line])

    def _print_lines(self) -> None:
        lines: list[str | None] = [""]
        while lines[-1] is not None:
            lines = [self._lines.get()]
            with suppress(queue.Empty):
                while len(lines) < _LINES_AT_ONCE:
                    lines.append(self._lines.get_nowait())
            self._print(lines)
        self._printed.set()

    def _print(self, lines: Sequence[str | None]) -> None:
        # The stream is None if it was closed from the start, and its reader may be gone.
        if stream := self.stream():
            with suppress(OSError, ValueError):
                stream.write("".join(f"{line}\n" for line in lines if line is not None))
                stream.flush()

    def write_outputs(self, publication: Publication) -> None:
        """Write the files; raises OutputError if one cannot be written, after writing the others."""
        writes = [partial(write_file, path, text) for path, text in publication.files.items()]
        if self.platform.output_file:
            writes.append(partial(write_dotenv, self.platform.output_file, publication.variables))
        problems = []
        for write in (*writes, partial(self.publish, publication)):
            try:
                write()
            except OutputError as error:
                problems.append(str(error))
        if problems:
            raise OutputError("; ".join(problems))

    def print_outputs(self, publication: Publication) -> None:
        """Print the outputs on a platform that has no files for them; raises OutputError if that fails."""

    def write_summary(self, publication: Publication) -> None:
        """Show the summary on a platform that can do that."""

    def mask(self, secret: str) -> None:
        """Ask the platform to hide the secret, if it can."""

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Group the lines that are logged inside; they are folded where the platform can do that."""
        _package_log.info("%s", title)
        yield

    @abstractmethod
    def stream(self) -> TextIO | None:
        """Return the stream for the log."""

    @abstractmethod
    def format_line(self, level: int, line: str, title: str | None) -> str:
        """Return a safe line as the platform shows a line of this level (of `logging`)."""

    @abstractmethod
    def publish(self, publication: Publication) -> None:
        """Write the files of the platform, apart from the output file; raises OutputError."""
