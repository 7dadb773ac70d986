"""Whole releases, with a registry on loopback, two architectures and a signature: `make rehearsal`."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.harness import build_zipapp, wait_until
from tests.scripts.releases import RUNS, STEPS, Clone
from wallarm_fast import __version__

PASSWORD = "me:$2b$04$exRH43U30PiBximYDD4.6eFQHQGd/OZ7AUL92YsR.dpC69K7EHYs2"  # of the next line, for htpasswd
BASIC = "bWU6c2VjcmV0"
OCI = "application/vnd.oci.image"


def _encode(document: Mapping[str, object]) -> tuple[bytes, str]:
    """Return the document as the registry gets it, and its digest."""
    text = json.dumps(document).encode()
    return text, f"sha256:{sha256(text).hexdigest()}"


@dataclass
class Image:
    """An image in a registry, and the registry's API for it."""

    name: str
    _api: httpx.Client

    def build(self, commit: str, architecture: str, content: str) -> str:
        """Push an image without layers and tag, as the job `build` does, and return its digest."""
        labels = {"org.opencontainers.image.revision": commit, "content": content}
        rootfs = {"type": "layers", "diff_ids": []}
        config = {"architecture": architecture, "os": "linux", "config": {"Labels": labels}, "rootfs": rootfs}
        blob, digest = _encode(config)
        upload = self._api.post("/blobs/uploads/").headers["Location"]
        self._api.put(f"{upload}&digest={digest}", content=blob).raise_for_status()
        described = {"mediaType": f"{OCI}.config.v1+json", "digest": digest, "size": len(blob)}
        kind = f"{OCI}.manifest.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": described, "layers": []}
        blob, digest = _encode(manifest)
        headers = {"Content-Type": kind}
        self._api.put(f"/manifests/{digest}", content=blob, headers=headers).raise_for_status()
        return digest

    def pinned(self, version: str, tag: str = "") -> str:
        """Return the reference to a version, by the digest that a tag has."""
        answer = self._api.head(f"/manifests/{tag or version}", headers={"Accept": f"{OCI}.index.v1+json"})
        return f"{self.name}:{version}@{answer.raise_for_status().headers['Docker-Content-Digest']}"


@pytest.fixture(params=[False])
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Image]:
    """An image in a registry of its own, which asks everybody for a password if the parameter is true."""
    config = {"version": 0.1, "storage": {"inmemory": {}}, "http": {"addr": "127.0.0.1:0"}}
    if request.param:
        config["auth"] = {"htpasswd": {"realm": "registry", "path": f"{tmp_path}/htpasswd"}}
    (tmp_path / "htpasswd").write_text(PASSWORD)
    (tmp_path / "registry.json").write_text(json.dumps(config))
    # Of docker, only the plugin buildx is used, which is then not looked for in the user's folders.
    (tmp_path / "docker").write_text('#!/bin/sh\nexec docker-"$@"\n')
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(["docker-registry", "serve", tmp_path / "registry.json"], stderr=stream)
    try:
        wait_until(lambda: "listening on" in log.read_text() or process.poll() is not None)
        host = "localhost:" + re.findall(r"listening on 127.0.0.1:(\d+)", log.read_text())[0]
        (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": BASIC}}}))
        url, headers = f"http://{host}/v2/owner/name", {"Authorization": f"Basic {BASIC}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as api:
            yield Image(f"{host}/owner/name", api)
    finally:
        process.terminate()
        process.wait()


def release(clone: Clone, image: Image, version: str, *, until: str = "major") -> None:
    """Build new images and run the steps in the order of the workflow."""
    clone.environ |= {"IMAGE": image.name, "VERSION": version}
    for name in ("AMD64", "ARM64"):
        clone.environ[name] = image.build(clone.git("rev-parse", "HEAD"), name.lower(), clone.folder.name)
    for name in STEPS:
        clone.environ |= {key.upper(): value for key, value in re.findall("(.+?)=(.+)", clone.step(name))}
        if name == until:
            break


def test_the_first_release_has_all_tags_and_can_be_signed(clone: Clone, image: Image, tmp_path: Path) -> None:
    release(clone, image, "1.2.0")
    assert clone.environ["REFERENCE"] == image.pinned("1.2.0") == image.pinned("1.2.0", "1")
    tags = clone.tags()
    assert tags == dict.fromkeys(("v1.2.0", "1.2.0", "v1"), tags["v1"])
    (sign,) = [run for run in RUNS if run.startswith("cosign sign ")]
    # A key in place of an identity, which only the workflow has.
    cosign = f"""cosign generate-key-pair --output-key-prefix={tmp_path}/cosign
        {sign.strip()} --key={tmp_path}/cosign.key --tlog-upload=false
        cosign verify --key={tmp_path}/cosign.pub --insecure-ignore-tlog "$REFERENCE" """
    environ = {**os.environ, **clone.environ, "COSIGN_PASSWORD": ""}
    subprocess.run(["bash", "-euc", cosign], env=environ, check=True)


def test_a_release_has_the_file_for_runners_without_docker_which_runs(
    clone: Clone, image: Image, tmp_path: Path
) -> None:
    build_zipapp(clone.zipapp)
    release(clone, image, "1.2.0")
    user = tmp_path / "user"
    subprocess.run(["git", "clone", "--quiet", "--branch=v1", clone.origin, user], check=True)
    file = user / "native/wallarm-fast.pyz"
    assert file.read_bytes() == clone.zipapp.read_bytes()
    command = ["python3", "-I", "-S", str(file), "verdict", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"fast-verdict {__version__}\n"


@pytest.mark.parametrize("last", STEPS)
def test_a_release_that_ended_after_any_step_is_completed_by_starting_over(
    clone: Clone, image: Image, last: str
) -> None:
    release(clone, image, "1.2.0", until=last)
    again = Clone(clone.origin)
    release(again, image, "1.2.0")
    assert again.environ["REFERENCE"] == clone.environ.get("REFERENCE", image.pinned("1.2.0"))
    assert image.pinned("1.2.0") == image.pinned("1.2.0", "1")
    assert again.tags() == dict.fromkeys(("v1.2.0", "1.2.0", "v1"), again.git("rev-parse", "FETCH_HEAD"))
    assert image.pinned("1.2.0") in again.git("show", "FETCH_HEAD:action.yml")


def test_the_major_tags_are_those_of_the_newest_release(clone: Clone, image: Image) -> None:
    maintained, newest = Clone(clone.origin), Clone(clone.origin)
    release(clone, image, "1.2.0")
    newest.commit("2.0.0")
    release(newest, image, "2.0.0")
    clone.commit("1.10.0", branch="1.x")
    release(clone, image, "1.10.0")
    maintained.commit("1.2.1", branch="1.2.x")
    release(maintained, image, "1.2.1")
    tags = clone.tags()
    assert tags["v1"] == tags["v1.10.0"]
    assert tags["v2"] == tags["v2.0.0"]
    assert image.pinned("1.10.0") == image.pinned("1.10.0", "1") != image.pinned("1.10.0", "1.2.1")
    assert image.pinned("2.0.0") == image.pinned("2.0.0", "2")


def test_an_image_of_another_commit_is_not_released(clone: Clone, image: Image) -> None:
    release(clone, image, "1.2.0", until="join")
    built = clone.git("rev-parse", "HEAD")
    clone.commit(later="")
    clone.step("join", fails=f"{image.name}:1.2.0 was built from {built}, not from")


@pytest.mark.parametrize("image", [True], indirect=True)
def test_an_image_that_cannot_be_pulled_without_a_password_is_not_released(
    clone: Clone, image: Image
) -> None:
    release(clone, image, "1.2.0", until="join")
    clone.step("public", fails="the image cannot be pulled without credentials")


def test_a_registry_that_does_not_answer_is_not_taken_for_an_empty_one(clone: Clone, image: Image) -> None:
    release(clone, image, "1.2.0", until="check")
    clone.step("join", IMAGE=image.name.replace("localhost", "localhost.invalid"), fails="imagetools inspect")
