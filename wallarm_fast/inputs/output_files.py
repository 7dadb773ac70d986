"""The files that a step is to write, checked before it does anything."""

from wallarm_fast.inputs import parsers
from wallarm_fast.inputs.table import InputReader
from wallarm_fast.platforms.detection import Platform
from wallarm_fast.platforms.files import check_writable


def check_output_files(reader: InputReader, platform: Platform) -> None:
    """Check that the outputs can be written."""
    if platform.kind == "github" and not platform.github_output:
        reader.reject("GITHUB_OUTPUT", "is not set, so the outputs would be lost")
    check_file(reader, "GITHUB_OUTPUT", platform.github_output)
    check_file(reader, "output_file", platform.output_file)


def check_file(reader: InputReader, name: str, path: str | None) -> None:
    """Check that the file can be written, if there is one."""
    if path:
        reader.check(name, path, _check_writable, None)


def _check_writable(path: str) -> None:
    try:
        check_writable(path)
    except OSError as error:
        raise ValueError(f"{parsers.quote(path)} cannot be written: {error.strerror}") from None
