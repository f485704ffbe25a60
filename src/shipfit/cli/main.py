"""The entry point: registers the commands and turns every error into its line and exit code.

Only the command that was asked for is imported, so that each starts as quickly as it can; help and completion,
which show them all, import them all.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib import import_module
from typing import Annotated, NoReturn

import typer

from shipfit.cli.context import Settings
from shipfit.core import log
from shipfit.core.errors import ExitCode, ShipfitError, from_os_error
from shipfit.core.progress import ProgressStyle

# In the order of the loop, which is also that of ``--help``. A module is named as its command (with an underscore for
# a dash), and defines a function of that name, or ``app`` where there are commands below it.
COMMANDS = (
    "plan",
    "size",
    "fit",
    "import-log",
    "gpus",
    "quantize",
    "artifacts",
    "deploy",
    "promote",
    "rollback",
    "up",
    "down",
    "status",
    "env",
    "loadtest",
    "demo",
    "doctor",
    "schema",
)


def make_app(only: str | None = None) -> typer.Typer:
    """The command line.

    Args:
        only: leave out every command but this one.
    """
    app = typer.Typer(
        name="shipfit",
        help="Fit large language models to GPUs and ship them.",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_options)
    for name in (only,) if only else COMMANDS:
        python_name = name.replace("-", "_")
        module = import_module(f"shipfit.cli.{python_name}")
        if hasattr(module, "app"):
            app.add_typer(module.app)
        else:
            app.command(name)(getattr(module, python_name))
    return app


def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug logs.")] = False,
    progress: Annotated[
        ProgressStyle, typer.Option("--progress", help="How progress is shown.")
    ] = ProgressStyle.AUTO,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if not version and context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
    if version:
        from shipfit import __version__

        typer.echo(__version__)
        raise typer.Exit
    Settings.debug = debug
    Settings.progress = progress
    log.configure(debug=debug, as_json=progress is ProgressStyle.JSON)


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    # SIGTERM takes the same way out as Ctrl-C: every context manager on the stack cleans up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; prints its error, if any, as one line on standard error.

    Returns:
        The exit code; see ``shipfit.core.errors.ExitCode``.
    """
    arguments = _global_options_first(arguments)
    debug = "--debug" in arguments
    try:
        return _invoke(arguments)
    except ShipfitError as error:
        if debug:
            raise
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on from here", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (`shipfit ... | head`): not an error, and nothing more to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.YES
    except OSError as error:
        if debug:
            raise
        return _fail(
            str(from_os_error(error, f"running shipfit {arguments[0] if arguments else ''}")),
            ExitCode.ENVIRONMENT,
        )
    except Exception as error:  # Python's own exit code for it, 1, would read as a verdict
        if debug:
            raise
        traceback.print_exc()
        return _fail(
            f"a mistake of shipfit's own ({type(error).__name__}): please report it", ExitCode.ENVIRONMENT
        )


def _invoke(arguments: list[str]) -> int:
    asked = next((word for word in arguments if not word.startswith("-")), None)
    completing = "_SHIPFIT_COMPLETE" in os.environ
    app = make_app(asked if asked in COMMANDS and not completing else None)
    try:
        result = typer.main.get_command(app).main(args=arguments, prog_name="shipfit", standalone_mode=False)
    except typer.TyperException as error:  # a wrong flag or argument
        context = getattr(error, "ctx", None)
        usage = context.command_path if context else "shipfit"
        return _fail(f"{error.format_message().rstrip('.')}; see {usage} --help", ExitCode.BAD_INPUT)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    if result == ExitCode.INTERRUPTED:  # typer makes this of Ctrl-C, without a word
        raise KeyboardInterrupt
    return int(result or 0)


def _fail(line: str, code: ExitCode) -> int:
    sys.stderr.write(f"shipfit: {' '.join(line.split())}\n")
    return int(code)


def _global_options_first(arguments: list[str]) -> list[str]:
    """Let ``--debug`` and ``--progress`` stand anywhere: people add them to the end of the line they just ran."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            return [*front, *rest, word, *words]
        if word == "--debug" or word.startswith("--progress="):
            front.append(word)
        elif word == "--progress":
            front.append(f"--progress={next(words, '')}")
        else:
            rest.append(word)
    return [*front, *rest]
