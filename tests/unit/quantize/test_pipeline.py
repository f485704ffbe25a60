from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipfit.artifacts import Channel
from shipfit.artifacts.manifest import Move
from shipfit.core.errors import InputError
from shipfit.core.progress import NoProgress
from shipfit.quantize.inputs import resolve
from shipfit.quantize.pipeline import _rolled_back_from
from shipfit.spec import Pipeline, load

OLD, NEW = "0" * 64, "1" * 64


def channel(*moves: tuple[str, str]) -> Channel:
    made = [Move(action=action, fingerprint=to, at=datetime.now(UTC)) for action, to in moves]  # type: ignore[arg-type]
    return Channel(schema_version=1, name="demo", channel="stable", moves=made)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([("promote", NEW)], False),
        ([("promote", OLD), ("promote", NEW)], False),
        ([("promote", OLD), ("promote", NEW), ("rollback", OLD)], True),
        ([("promote", OLD), ("promote", NEW), ("rollback", OLD), ("promote", NEW)], False),
    ],
)
def test_a_schedule_does_not_put_back_what_was_rolled_back(moves, expected: bool) -> None:
    assert expected is _rolled_back_from(channel(*moves), NEW)


def test_a_source_that_is_not_there_names_the_line_of_the_pipeline(repository: Path, tmp_path: Path) -> None:
    text = (repository / "pipelines" / "gemma-3-270m-gptq-w4a16.yaml").read_text()
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("some words\n" * 10_000)
    text = text.replace("bundled:gemma-3-270m", "bundled:gemma-4")
    text = text.replace("[bundled:lcet10, bundled:plrabn12]", "[a.txt]").replace(
        "[bundled:alice29, bundled:asyoulik]", "[b.txt]"
    )
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"wrong\.yaml:6: source: .*gemma-4"):
        resolve(load(file, Pipeline), NoProgress())
