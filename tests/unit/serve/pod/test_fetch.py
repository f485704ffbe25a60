from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.serve.pod import fetch


def test_a_link_is_made_and_turned(tmp_path: Path) -> None:
    link = tmp_path / "run" / "model"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fetch.point(link, tmp_path / name)
        assert tmp_path / name == link.resolve()
    assert [link] == list(link.parent.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--artifact", "demo"],
        ["--artifact", "demo", "--store", "s3://b", "--model", "org/name"],
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        fetch.main([*words, "--link", "link"])
    assert 2 == ended.value.code


def test_a_local_model_is_linked_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert 0 == fetch.main(["--model", str(tmp_path), "--link", str(tmp_path / "link")])
    assert tmp_path == (tmp_path / "link").resolve()
