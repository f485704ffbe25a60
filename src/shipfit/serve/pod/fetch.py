"""Brings a model into a pod's cache before vLLM starts: ``python -m shipfit.serve.pod.fetch``.

The cache is SHIPFIT_CACHE_DIR. What lies there whole is verified and used; what an earlier fetch left unfinished is
gone on with; pods that share the volume wait for one another. The link appears when the model is there.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import uuid
from pathlib import Path

from shipfit.core.errors import ExitCode, InputError
from shipfit.core.paths import cache_dir
from shipfit.core.progress import PlainProgress
from shipfit.serve.pod import program

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def fetch_artifact(store: str, name: str, fingerprint: str) -> Path:
    """The folder of an artifact, every file of it verified.

    Raises:
        InputError: there is no such store, name or artifact.
        EnvironmentFailure: the store is out of reach or its files differ from the manifest, or the volume is full.
    """
    from shipfit.artifacts import open_store

    # A channel may move between two pods of one rollout.
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise InputError(
            f"{fingerprint!r} is no whole fingerprint", hint="write its 64 digits", where="--fingerprint"
        )
    progress = PlainProgress()
    with open_store(store, progress) as opened:
        return opened.pull(name, fingerprint, progress).path


def fetch_model(reference: str) -> Path:
    """The folder of a model as its publisher gives it.

    Raises:
        InputError: there is no such model.
        EnvironmentFailure: the hub or the store is out of reach, or the volume is full.
    """
    os.environ.setdefault("HF_HOME", str(cache_dir("huggingface")))  # read when its client is imported
    from shipfit import models

    return models.snapshot(reference, None, PlainProgress()).path


def point(link: Path, folder: Path) -> None:
    """Let ``link`` lead to ``folder``, whatever it led to before; it is never missing in between."""
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.{uuid.uuid4().hex}")
    fresh.symlink_to(folder)
    fresh.replace(link)


def main(words: list[str]) -> ExitCode:
    """Fetch what the words name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="shipfit.serve.pod.fetch", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--artifact", help="name of an artifact")
    source.add_argument("--model", help="a model as in a deployment, such as org/name@revision")
    parser.add_argument("--fingerprint", help="which artifact of that name")
    parser.add_argument("--store", help="where it lies, such as s3://bucket/prefix")
    parser.add_argument("--link", type=Path, required=True, help="what is to lead to the model's folder")
    given = parser.parse_args(words)
    if given.artifact and not (given.fingerprint and given.store):
        parser.error("--artifact needs --fingerprint and --store")

    def work() -> None:
        folder = (
            fetch_artifact(given.store, given.artifact, given.fingerprint)
            if given.artifact
            else fetch_model(given.model)
        )
        point(given.link, folder)

    return program.run("fetch", work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
