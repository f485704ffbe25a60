"""``shipfit artifacts``: what is published, and the channels that point to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.cli.context import AsJson, emit, progress
from shipfit.core.errors import InputError

if TYPE_CHECKING:
    from shipfit.artifacts import Channel, Manifest, Store

app = typer.Typer(name="artifacts", help="Published artifacts and their channels.")

StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="URL", help="s3://, gs://, az:// or file:///; left out, the embedded store."
    ),
]
Artifact = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@WHICH]",
        help="WHICH is a channel, or a fingerprint or its beginning; left out, `stable`.",
    ),
]
DEFAULT_CHANNEL = "stable"


@app.command("ls")
def list_artifacts(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this one.")] = None,
    *,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """List artifacts by name, with the channels that point to each.

    Example: shipfit artifacts ls
    """
    from shipfit.artifacts import open_store

    with open_store(store, progress()) as opened:
        names = opened.names()
        if name and name not in names:
            opened.resolve(name, DEFAULT_CHANNEL)  # says what there is instead
        rows = [row for each in names if name in {None, each} for row in _rows(opened, each)]
        facts = {"store": opened.label, "artifacts": rows}
    emit(facts, as_json=as_json, render=_print_list)


@app.command()
def show(artifact: Artifact, *, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Print an artifact's manifest.

    Example: shipfit artifacts show gemma-3-270m-gptq@stable
    """
    from shipfit.artifacts import open_store

    name, which = _split(artifact)
    with open_store(store, progress()) as opened:
        fingerprint = opened.resolve(name, which)
        facts = opened.accepted(name, fingerprint).model_dump(mode="json")
        facts["channels"] = [
            each.channel for each in opened.channels(name) if each.fingerprint == fingerprint
        ]
    emit(facts, as_json=as_json, render=_print_manifest)


@app.command()
def verify(artifact: Artifact, *, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Read every file of an artifact in the store and compare it with the manifest.

    Example: shipfit artifacts verify gemma-3-270m-gptq
    """
    from shipfit.artifacts import open_store

    name, which = _split(artifact)
    with open_store(store, progress()) as opened:
        manifest = opened.verify(name, opened.resolve(name, which), progress())
    emit(_checked(manifest), as_json=as_json, render=_print_checked)


@app.command()
def pull(artifact: Artifact, *, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Bring an artifact to this machine, verified, and print its folder.

    Example: shipfit artifacts pull gemma-3-270m-gptq@stable
    """
    from shipfit.artifacts import open_store

    name, which = _split(artifact)
    with open_store(store, progress()) as opened:
        pulled = opened.pull(name, which, progress())
    facts = {**_checked(pulled.manifest), "path": str(pulled.path)}
    emit(facts, as_json=as_json, render=lambda shown: typer.echo(shown["path"]))


@app.command()
def promote(
    artifact: Artifact,
    channel: Annotated[str, typer.Argument(help="The channel that shall point to it.")],
    *,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Point a channel to an artifact.

    Example: shipfit artifacts promote gemma-3-270m-gptq@candidate stable
    """
    from shipfit.artifacts import open_store

    name, which = _split(artifact)
    with open_store(store, progress()) as opened:
        moved = opened.promote(name, channel, opened.resolve(name, which))
    emit(_moved(moved), as_json=as_json, render=_print_moved)


@app.command()
def rollback(artifact: Artifact, *, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Point a channel to where it pointed before its latest promotion; again, to the one before that.

    Example: shipfit artifacts rollback gemma-3-270m-gptq@stable
    """
    from shipfit.artifacts import open_store

    name, channel = _split(artifact)
    with open_store(store, progress()) as opened:
        moved = opened.rollback(name, channel)
    emit(_moved(moved), as_json=as_json, render=_print_moved)


def _split(artifact: str) -> tuple[str, str]:
    name, separator, which = artifact.partition("@")
    if not name or (separator and not which):
        raise InputError(
            f"{artifact!r} names no artifact", hint="write NAME, NAME@CHANNEL or NAME@FINGERPRINT"
        )
    return name, which or DEFAULT_CHANNEL


def _rows(store: Store, name: str) -> list[dict[str, Any]]:
    """What ``ls`` says of each artifact of a name, the oldest first."""
    channels = store.channels(name)
    manifests = [store.manifest(name, fingerprint) for fingerprint in store.fingerprints(name)]
    return [
        {
            "name": name,
            "fingerprint": manifest.fingerprint,
            "channels": [each.channel for each in channels if each.fingerprint == manifest.fingerprint],
            "bytes": manifest.total_bytes,
            "source": manifest.source.model,
            "precision": manifest.recipe.get("precision"),
            "created_at": manifest.created_at.isoformat(),
        }
        for manifest in sorted(filter(None, manifests), key=lambda manifest: manifest.created_at)
    ]


def _checked(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "fingerprint": manifest.fingerprint,
        "files": len(manifest.files),
        "bytes": manifest.total_bytes,
    }


def _moved(channel: Channel) -> dict[str, Any]:
    return {**channel.model_dump(mode="json"), "fingerprint": channel.fingerprint}


def _print_list(facts: dict[str, Any]) -> None:
    if not facts["artifacts"]:
        typer.echo(f"{facts['store']} holds no artifacts; `shipfit quantize PIPELINE` publishes one")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("NAME", "FINGERPRINT", "CHANNELS", "PRECISION", "MIB", "CREATED", box=None, pad_edge=False)
    for row in facts["artifacts"]:
        mib = f"{row['bytes'] / 2**20:,.1f}"
        channels = ", ".join(row["channels"]) or "-"
        table.add_row(
            row["name"], row["fingerprint"][:12], channels, row["precision"] or "-", mib, row["created_at"]
        )
    Console(highlight=False).print(table)


def _print_manifest(facts: dict[str, Any]) -> None:
    import yaml

    typer.echo(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=110).rstrip())


def _print_checked(facts: dict[str, Any]) -> None:
    typer.echo(
        f"{facts['name']} ({facts['fingerprint'][:12]}): {facts['files']} files, {facts['bytes'] / 2**20:,.1f} MiB,"
        " every digest as in the manifest"
    )


def _print_moved(facts: dict[str, Any]) -> None:
    typer.echo(f"{facts['name']}@{facts['channel']} is {facts['fingerprint'][:12]}")
