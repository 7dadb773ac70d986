"""A release, by the commands of release.yml, in clones of a bare repository."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.harness import ROOT

JOBS = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"].values()
RUNS = [step["run"] for job in JOBS for step in job.get("steps", []) if "run" in step]
# The command of each step that runs the script, by subcommand.
STEPS = {
    run.split()[2]: run.replace("python3 scripts", f"{sys.executable} {ROOT}/scripts")
    for run in RUNS
    if "scripts/release.py" in run
}


class Clone:
    """A full clone of the origin, as a job of the workflow has it; `environ` is what the job knows."""

    def __init__(self, origin: Path, **environ: str) -> None:
        self.origin, self.environ = origin, environ
        self.folder = origin / f"../clone-{len(list(origin.parent.iterdir()))}"
        subprocess.run(["git", "clone", "--quiet", origin, self.folder], check=True)
        self.zipapp = origin / "../wallarm-fast.pyz"
        self.zipapp.write_bytes(b"\r\n\x00zip")

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Dev", "-c", "user.email=dev@localhost", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def push(self, *refs: str) -> None:
        self.git("push", "--quiet", "origin", *refs)

    def commit(self, version: str = "1.2.0", branch: str = "main", **files: str) -> str:
        """Push a commit with this version, described in the changelog, and these files to a branch."""
        changed = {
            "wallarm_fast/__init__.py": f'__version__ = "{version}"\n',
            "CHANGELOG.md": f"# Changelog\n\n## {version}\n\nSomething is new.\n",
        }
        for name, text in (changed | files).items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self.git("add", ".")
        self.git("commit", "--quiet", "--message=Work")
        self.push(f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def step(self, name: str, *, fails: str = "", **environ: str) -> str:
        """Run a step and return what it prints; with `fails`, it must fail and say that in its error."""
        files = {**dict.fromkeys(("GITHUB_OUTPUT", "NOTES"), "/dev/stdout"), "ZIPAPP": str(self.zipapp)}
        env = {**os.environ, **files, "OPTION": "", **self.environ, **environ}
        command = ["bash", "-eu", "-c", STEPS[name]]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        if fails:
            assert done.returncode == 1, done.stderr
            assert done.stderr.startswith("error: ")
            assert fails in done.stderr
        else:
            assert done.returncode == 0, done.stderr
        return done.stdout

    def tags(self) -> dict[str, str]:
        """Return the tags of the origin with their commits."""
        lines = (line.split() for line in self.git("ls-remote", "--tags", "origin").splitlines())
        return {name.removeprefix("refs/tags/"): commit for commit, name in lines}
