from __future__ import annotations

import json
import subprocess
import sys

import pytest

from shipfit.cli import main
from shipfit.cli.context import Settings
from shipfit.core.progress import ProgressStyle


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["shema"], "No such command 'shema'. Did you mean 'schema'?"),
        (["schema", "--no-such"], "No such option: --no-such"),
        (["schema"], "Missing argument"),
        (["schema", "cluster"], "no kind of document is called 'cluster'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(arguments, words, capsys) -> None:
    assert main.run(arguments) == 2
    line = capsys.readouterr().err
    assert line.startswith("shipfit: ")
    assert line.count("\n") == 1
    assert words in line


def test_global_options_may_stand_anywhere() -> None:
    assert main.run(["schema", "pipeline", "--progress", "json", "--debug"]) == 0
    assert (True, ProgressStyle.JSON) == (Settings.debug, Settings.progress)


def test_a_mistake_of_our_own_reads_as_no_verdict(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_only: str | None) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(main, "make_app", broken)
    assert main.run(["gpus"]) == 3
    said = capsys.readouterr().err
    assert "Traceback" in said  # what its report needs
    assert (
        said.splitlines()[-1] == "shipfit: a mistake of shipfit's own (ZeroDivisionError): please report it"
    )


def test_schemas_are_json(capsys) -> None:
    assert main.run(["schema", "deployment"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["additionalProperties"] is False
    assert (
        "Tokens that one request may hold"
        in schema["$defs"]["Promise"]["properties"]["context"]["description"]
    )


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shipfit", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().count(".") == 2


def test_no_command_imports_what_is_heavy_before_it_runs() -> None:
    code = "import sys, shipfit.cli.main; print([m for m in HEAVY if m in sys.modules])"
    heavy = "HEAVY = ['pydantic', 'httpx', 'obstore', 'ray', 'huggingface_hub', 'jinja2', 'psutil', 'rich.console']; "
    done = subprocess.run([sys.executable, "-c", heavy + code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_has_an_example() -> None:
    import typer

    def walk(command):
        inner = getattr(command, "commands", {})
        return [found for each in inner.values() for found in walk(each)] if inner else [command]

    for command in walk(typer.main.get_command(main.make_app())):
        example = (command.help or "").partition("Example: ")[2]
        assert f"{command.name}" in example, command.name
        assert "shipfit " in example, command.name
