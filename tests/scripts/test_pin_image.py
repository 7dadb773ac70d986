"""The script that makes action.yml start the published image."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

DIGEST = "sha256:" + "0123456789abcdef" * 4
REFERENCE = f"ghcr.io/owner/wallarm-fast-stop-recording:v1.2.3@{DIGEST}"


def pin(action: Path, reference: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts/pin_image.py"), str(action), reference]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def action(tmp_path: Path) -> Path:
    copy = tmp_path / "action.yml"
    copy.write_bytes((ROOT / "action.yml").read_bytes())
    return copy


def test_the_pinned_action_starts_the_image_and_is_otherwise_the_same(action: Path) -> None:
    before = action.read_text()
    assert pin(action, REFERENCE).returncode == 0
    after = action.read_text()
    assert yaml.safe_load(after)["runs"]["image"] == f"docker://{REFERENCE}"
    assert after.replace(f"docker://{REFERENCE}", "Dockerfile") == before
    again = pin(action, REFERENCE)
    assert (again.returncode, "0 times" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    "reference",
    [
        "ghcr.io/owner/name:v1.2.3",
        f"ghcr.io/owner/name@{DIGEST}",
        f"ghcr.io/owner/name:v1@{DIGEST}",
        f"ghcr.io/Upper/name:v1.2.3@{DIGEST}",
        f"ghcr.io/owner/name:v1.2.3@{DIGEST}0",
        f"{REFERENCE}\n  entrypoint: /bin/sh",
        "",
    ],
)
def test_a_reference_without_version_or_digest_is_refused_and_nothing_is_written(
    action: Path, reference: str
) -> None:
    before = action.read_bytes()
    refused = pin(action, reference)
    assert (refused.returncode, refused.stderr[:18]) == (1, "error: not of the ")
    assert action.read_bytes() == before


def test_a_missing_file_is_one_error_line(tmp_path: Path) -> None:
    refused = pin(tmp_path / "none.yml", REFERENCE)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
