"""llama.cpp inside its environment: its programs, run with their output read as it comes, and the source as GGUF.

The environment's ``bin`` holds the programs, ``share/llama.cpp`` the converter and the ``gguf`` package: the engine's
build.py puts them there.
"""

from __future__ import annotations

import collections
import ctypes
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

SHARE = Path(sys.prefix) / "share" / "llama.cpp"

MODEL = "model.gguf"
"""The name of a model's weights in its folder."""

WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".gguf")
"""What files of weights end in; all others of a source go into the artifact as they are."""

sys.path.insert(0, str(SHARE / "gguf-py"))  # `import gguf` finds the package of the same release

_STAMP = re.compile(r"^\s*[\d.]+ [DIWE] ")
"""What a line of llama.cpp's log begins with: the time and how grave it is."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)


class ProgramError(Exception):
    """A program of llama.cpp failed; the text is its exit code and what it said last.

    Args:
        code: its exit code, negative for a signal.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class UnknownArchitectureError(Exception):
    """llama.cpp has no code for models like the source."""

    field = "source"
    hint = "choose another engine"


def version() -> str:
    """Of llama-cpp-python, whose sources the programs are built from."""
    return (SHARE / "VERSION").read_text().strip()


def threads() -> int:
    """How many threads a program may use: what the task was given."""
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))


def run_program(
    argv: Sequence[str | Path],
    heard: Callable[[str], None],
    *,
    cwd: Path | None = None,
    end: bytes = b"\n",
    env: Mapping[str, str] | None = None,
    inherit: Sequence[int] = (),
) -> None:
    """Run a program of the environment; all that it prints goes to the log as well.

    Args:
        argv: the program's name, or a path, and its arguments.
        heard: gets each piece of what it prints, without surrounding white space.
        end: what ends a piece: some progress comes on one long line.
        env: variables to set.
        inherit: descriptors that it may write to.

    Raises:
        ProgramError: it failed.
    """
    name = Path(argv[0]).name
    tail: collections.deque[str] = collections.deque(maxlen=40)

    def hear(piece: bytes) -> None:
        text = piece.decode("utf-8", "replace").strip()
        tail.extend(text.splitlines())
        heard(text)

    with start(
        argv, cwd=cwd, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, pass_fds=inherit
    ) as process:
        output: Any = process.stdout  # it is there: a pipe was asked for
        rest = b""
        while data := output.read1(2**16):
            sys.stderr.buffer.write(data)
            sys.stderr.flush()
            *pieces, rest = (rest + data).split(end)
            for piece in pieces:
                hear(piece)
        hear(rest)
    if process.returncode:
        message = f"{name} {_ended(process.returncode)}: {_last_words(tail)}"
        raise ProgramError(message, process.returncode)


def start(argv: Sequence[str | Path], **how: Any) -> subprocess.Popen[bytes]:
    """Start a program of the environment, which ends with this process. ``how`` is for ``subprocess.Popen``."""
    program = Path(sys.prefix) / "bin" / argv[0]  # an absolute path stays as it is
    return subprocess.Popen(
        [program, *argv[1:]],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_parent,
        **how,
    )


@contextmanager
def source_gguf(source: Path, baselines: Path, report: Callable[[str, float], None]) -> Iterator[Path]:
    """The source model as a GGUF file of 16 bits, converted once: the engine quantizes it, the gate compares with it.

    Nobody removes it meanwhile: whoever wants to must have its lock, ``<baselines>/<folder>.lock``.

    Args:
        source: folder of a model as transformers saves it.
        baselines: folder of what is made of sources; the file lies in one below it, named by the source's files (their
            names, sizes and times) and the converter's version.
        report: told of the conversion, with the fraction of it that is done.

    Raises:
        UnknownArchitectureError: llama.cpp cannot run such a model.
        ProgramError: the source is broken, or the disk is full.
    """
    files = sorted(path for path in source.iterdir() if path.is_file())
    facts = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    digest = hashlib.sha256(json.dumps([version(), str(source.resolve()), facts]).encode()).hexdigest()[:16]
    folder = baselines / f"gguf-{digest}"
    baselines.mkdir(parents=True, exist_ok=True)
    path = folder / MODEL
    with exclusive(baselines / f"{folder.name}.lock") as lock:
        folder.mkdir(exist_ok=True)  # somebody may have removed it while this waited
        if not path.exists():
            _convert(source, path, report)
        os.utime(folder)  # its last use
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield path


@contextmanager
def exclusive(path: Path) -> Iterator[TextIO]:
    """Hold the lock on a file, made if it is not there; waits for whoever holds it."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _convert(source: Path, path: Path, report: Callable[[str, float], None]) -> None:
    unfinished = path.with_suffix(".unfinished")

    def heard(line: str) -> None:
        if found := re.search(r"Writing:\s+(\d+)%", line):
            report("converting the source to GGUF", int(found[1]) / 100)

    report("converting the source to GGUF", 0.0)
    converter = [sys.executable, SHARE / "convert_hf_to_gguf.py"]
    try:
        # "auto" is bf16 or f16, as the source is.
        argv = [*converter, source, "--outtype", "auto", "--outfile", unfinished]
        run_program(argv, heard, end=b"\r", env={"TQDM_DISABLE": ""})
    except ProgramError as error:
        if found := re.search(r"Model (\w+) is not supported", str(error)):
            raise UnknownArchitectureError(f"llama.cpp knows no {found[1]}") from error
        raise
    unfinished.rename(path)


def chunks_text(tokenizer: Any, windows: Sequence[Sequence[int]], *, special: bool) -> str:
    """Text that llama.cpp cuts into chunks that are these windows, all of one length.

    Its programs read text, cut its tokens into chunks of equal length and put BOS in the place of each chunk's first
    token. So in place of a window's BOS stands a separator, one token. Where the text begins in the middle of a word it
    can become a token more or less than it was, and later chunks begin as much earlier or later; the first window twice
    more at the end makes up for what is missing then.

    Args:
        tokenizer: of transformers.
        windows: token ids, each with BOS where the model has one.
        special: whether special tokens stay in the text: not where the program takes them for plain text.
    """
    separator = "\n\n" if windows[0][0] == tokenizer.bos_token_id else ""
    texts = [
        tokenizer.decode(window[bool(separator) :], skip_special_tokens=not special) for window in windows
    ]
    return separator.join([*texts, texts[0], texts[0]])


def _die_with_parent() -> None:  # runs in the child, between fork and exec
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _ended(code: int) -> str:
    return f"ended with code {code}" if code > 0 else f"was killed by {signal.Signals(-code).name}"


def _last_words(tail: Sequence[str]) -> str:
    spoken = [_STAMP.sub("", line).strip() for line in tail if line.strip()]
    errors = [
        line for line in spoken if re.search(r"error|fail|not supported|non-finite", line, re.IGNORECASE)
    ]
    return (errors or spoken or ["(it printed nothing)"])[-1][:300]
