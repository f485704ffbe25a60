"""What the source model makes of the held-out text: computed once, kept for every recipe and every later run.

    <baselines>/<key>/0000.safetensors ...   the logits of a window, in the model's own number format: nothing is lost
    <baselines>/<key>/baseline.json          the windows; written last: its presence makes the baseline whole
    <baselines>/<key>.lock                   held by whoever makes it, and shared by those who read it

The key is a hash of all that the logits depend on. What a run that was cut off has finished is kept.
"""

from __future__ import annotations

import fcntl
import gc
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import shipfit_models
import shipfit_samples
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoTokenizer

Report = Callable[[str, float | None], None]

MOST_BYTES = 30_000_000_000
"""Of all baselines together; beyond, those are removed that were not used for longest. The one in use always stays."""


@dataclass(frozen=True)
class Baseline:
    """The source's logits.

    Attributes:
        folder: where they lie.
        windows: of the text, in order.
        reused: whether they were there already.
    """

    folder: Path
    windows: tuple[shipfit_samples.Window, ...]
    reused: bool

    def logits(self, window: int) -> Iterator[torch.Tensor]:
        """Those of one window, by position from the first on, in parts of ``POSITIONS``: [positions, vocabulary]."""
        with safe_open(_file(self.folder, window), framework="pt") as stored:
            whole = stored.get_slice("logits")
            for start in range(0, whole.get_shape()[0], POSITIONS):
                yield whole[start : start + POSITIONS]


POSITIONS = 64
"""Positions whose distributions are compared at once: 64 of a vocabulary of 262,144 are 67 MB in float32."""


@contextmanager
def baseline(request: Mapping[str, Any], report: Report) -> Iterator[Baseline]:
    """The source's logits on the held-out text, made if they are not there; nobody removes them meanwhile.

    Raises:
        TooLittleTextError: the text is too short for the windows that are asked for.
    """
    root = Path(request["baselines"])
    root.mkdir(parents=True, exist_ok=True)
    key = _key(request)
    folder = root / key
    whole = folder / "baseline.json"
    with (root / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # several may read it at once
        reused = whole.exists()
        while not whole.exists():
            fcntl.flock(lock, fcntl.LOCK_EX)  # one makes it; whoever waited for that finds it here
            if not whole.exists():
                _make(folder, request, report)
            fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(whole)
        prune(root, keep=key)
        windows = [shipfit_samples.Window(**window) for window in json.loads(whole.read_bytes())["windows"]]
        yield Baseline(folder, tuple(windows), reused)


def _key(request: Mapping[str, Any]) -> str:
    scripts = [Path(module) for module in (__file__, shipfit_models.__file__, shipfit_samples.__file__)]
    determines = {
        "source": request["revision"],
        "documents": request["documents_sha256"],
        "sampling": [request["samples"], request["tokens"], request["seed"]],
        "scripts": [hashlib.sha256(script.read_bytes()).hexdigest() for script in scripts],
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
    return hashlib.sha256(json.dumps(determines, sort_keys=True).encode()).hexdigest()[:32]


def _make(folder: Path, request: Mapping[str, Any], report: Report) -> None:
    folder.mkdir(exist_ok=True)
    source = Path(request["source"])
    report("reading the held-out text", 0.0)
    windows = shipfit_samples.sample_windows(
        AutoTokenizer.from_pretrained(source),
        request["documents"],
        request["samples"],
        request["tokens"],
        request["seed"],
    )
    report("loading the source model", None)
    model = shipfit_models.load_model(source)
    for number, window in enumerate(windows):
        report(f"source, window {number + 1} of {len(windows)}", 0.5 * number / len(windows))
        if not _file(folder, number).exists():
            _keep(_file(folder, number), run(model, window.ids))
    del model
    gc.collect()
    content = {"windows": [{"ids": window.ids, "document": window.document} for window in windows]}
    unfinished = folder / "baseline.json.unfinished"
    unfinished.write_text(json.dumps(content))
    unfinished.replace(folder / "baseline.json")


def run(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    """Logits of every position that a token follows, in the model's own number format: [positions, vocabulary]."""
    with torch.inference_mode():
        return model(torch.tensor([ids], device=model.device), use_cache=False).logits[0, :-1]


def _file(folder: Path, window: int) -> Path:
    return folder / f"{window:04d}.safetensors"


def _keep(path: Path, logits: torch.Tensor) -> None:
    unfinished = path.with_suffix(".unfinished")
    try:
        save_file({"logits": logits.cpu().contiguous()}, unfinished)
        with unfinished.open("rb") as stream:
            os.fsync(stream.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)  # a full disk must not stay full
        raise


def prune(root: Path, keep: str) -> None:
    """Remove what was not used for longest, until all fit; what somebody makes or reads stays."""
    folders = sorted((folder for folder in root.iterdir() if folder.is_dir()), key=_last_use)
    sizes = {folder: _bytes(folder) for folder in folders}
    for folder in folders:
        if sum(sizes.values()) <= MOST_BYTES:
            return
        if folder.name == keep:
            continue
        with suppress(BlockingIOError), (root / f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)  # somebody else may be at it too
            del sizes[folder]


def _bytes(folder: Path) -> int:
    total = 0
    with suppress(FileNotFoundError):  # removed meanwhile
        for file in folder.iterdir():
            with suppress(FileNotFoundError):  # renamed meanwhile, being finished
                total += file.stat().st_size
    return total


def _last_use(folder: Path) -> float:
    for path in (folder / "baseline.json", folder):
        with suppress(FileNotFoundError):
            return path.stat().st_mtime
    return 0.0
