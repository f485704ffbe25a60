from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.cli.main import run

SPEC = """\
apiVersion: shipfit/v1
kind: Deployment
name: chat
model: org/model
hardware: [{gpu: cpu}]
promise: {context: 512, concurrency: 1}
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--canary", "ten"], "--canary: is ten, not a whole percentage below 100; write 10%"),
        (["--canary", "0%"], "--canary: is 0%, not a whole percentage below 100"),
        (["--canary", "100%"], "--canary: is 100%, not"),
        (["--canary", "10%", "--for", "ten"], "--for: is ten, not a time; write 90s, 10m or 1h"),
        (["--canary", "10%", "--for", "0m"], "--for: is 0m, not a time"),
        (["--canary", "10%"], "cluster: is missing; say where it goes, as `cluster: {namespace: llm}`"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(SPEC)
    assert 2 == run(["promote", str(file), *words])
    line = capsys.readouterr().err
    assert said in line
    assert 1 == line.count("\n")
