"""``shipfit artifacts``: what is published, and the channels that point to it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.cli import artifacts_text
from shipfit.cli.context import AsJson, emit, progress
from shipfit.core.errors import InputError

if TYPE_CHECKING:
    from shipfit.artifacts import Channel, Manifest, Signature, Store
    from shipfit.spec import Policy, Retention

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
SignedByKey = Annotated[
    Path | None,
    typer.Option(
        "--signed-by",
        metavar="PUBLIC_KEY",
        help="Refuse it unless the holder of this key has signed it: a PEM file.",
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
    emit(facts, as_json=as_json, render=artifacts_text.print_list)


@app.command()
def show(artifact: Artifact, *, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Print an artifact's manifest.

    Example: shipfit artifacts show gemma-3-270m-gptq-w4a16@stable
    """
    from shipfit.artifacts import open_store

    name, which = _split(artifact)
    with open_store(store, progress()) as opened:
        fingerprint = opened.resolve(name, which)
        facts = opened.accepted(name, fingerprint).model_dump(mode="json")
        facts["channels"] = [
            each.channel for each in opened.channels(name) if each.fingerprint == fingerprint
        ]
        facts["signatures"] = [_signature(each) for each in opened.signatures(name, fingerprint)]
    emit(facts, as_json=as_json, render=artifacts_text.print_manifest)


@app.command()
def verify(
    artifact: Artifact, *, signed_by: SignedByKey = None, store: StoreUrl = None, as_json: AsJson = False
) -> None:
    """Read every file of an artifact in the store and compare it with the manifest.

    Its signature is verified where its policy or --signed-by asks for one.

    Example: shipfit artifacts verify gemma-3-270m-gptq-w4a16 --signed-by team.pub
    """
    from shipfit.artifacts import open_store
    from shipfit.spec import by_key

    name, which = _split(artifact)
    wanted = by_key(signed_by) if signed_by else None
    with open_store(store, progress()) as opened:
        manifest = opened.verify(name, opened.resolve(name, which), progress(), wanted)
    emit(_checked(manifest), as_json=as_json, render=artifacts_text.print_checked)


@app.command()
def pull(
    artifact: Artifact, *, signed_by: SignedByKey = None, store: StoreUrl = None, as_json: AsJson = False
) -> None:
    """Bring an artifact to this machine, verified as by `verify`, and print its folder.

    Example: shipfit artifacts pull gemma-3-270m-gptq-w4a16@stable --signed-by team.pub
    """
    from shipfit.artifacts import open_store
    from shipfit.spec import by_key

    name, which = _split(artifact)
    wanted = by_key(signed_by) if signed_by else None
    with open_store(store, progress()) as opened:
        pulled = opened.pull(name, which, progress(), wanted)
    facts = {**_checked(pulled.manifest), "path": str(pulled.path)}
    emit(facts, as_json=as_json, render=lambda shown: typer.echo(shown["path"]))


@app.command()
def sign(
    artifact: Artifact,
    *,
    private_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A PEM file; SHIPFIT_SIGNING_PASSWORD holds its password, if it has one."
        ),
    ] = None,
    keyless: Annotated[
        bool,
        typer.Option(
            "--keyless", help="Sign with Sigstore as the OpenID Connect identity of this CI job or pod."
        ),
    ] = False,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Sign an artifact; other signers' signatures stay.

    Example: shipfit artifacts sign gemma-3-270m-gptq-w4a16@stable --private-key team.pem
    """
    from shipfit.artifacts import Signer, open_store

    if (private_key is None) is not keyless:
        raise InputError(
            "nobody is named to sign, or two", hint="give either --private-key FILE, or --keyless"
        )
    name, which = _split(artifact)
    with open_store(store, progress()) as opened:
        fingerprint = opened.resolve(name, which)
        opened.sign(name, fingerprint, Signer(private_key), progress())
        signatures = [_signature(each) for each in opened.signatures(name, fingerprint)]
    facts = {"name": name, "fingerprint": fingerprint, "signatures": signatures}
    emit(facts, as_json=as_json, render=artifacts_text.print_signed)


@app.command()
def promote(
    artifact: Artifact,
    channel: Annotated[str, typer.Argument(help="The channel that shall point to it.")],
    *,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Point a channel to an artifact.

    Example: shipfit artifacts promote gemma-3-270m-gptq-w4a16@candidate stable
    """
    from shipfit.artifacts import open_store

    name, which = _split(artifact)
    with open_store(store, progress()) as opened:
        moved = opened.promote(name, channel, opened.resolve(name, which), progress())
    emit(_moved(moved), as_json=as_json, render=artifacts_text.print_moved)


@app.command()
def rollback(artifact: Artifact, *, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Point a channel to where it pointed before its latest promotion; again, to the one before that.

    Example: shipfit artifacts rollback gemma-3-270m-gptq-w4a16@stable
    """
    from shipfit.artifacts import open_store

    name, channel = _split(artifact)
    with open_store(store, progress()) as opened:
        moved = opened.rollback(name, channel)
    emit(_moved(moved), as_json=as_json, render=artifacts_text.print_moved)


@app.command()
def history(artifact: Artifact, *, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Show every move of a channel, the latest first; of all channels where none is named.

    Example: shipfit artifacts history gemma-3-270m-gptq-w4a16@stable
    """
    from shipfit.artifacts import open_store

    name, channel = _split(artifact) if "@" in artifact else (artifact, None)
    with open_store(store, progress()) as opened:
        opened.require_name(name)
        channels = [opened.require_channel(name, channel)] if channel else opened.channels(name)
        moves = [
            {"channel": each.channel, **move.model_dump(mode="json")}
            for each in channels
            for move in each.moves
        ]
    facts = {"name": name, "moves": sorted(moves, key=lambda move: move["at"])[::-1]}
    emit(facts, as_json=as_json, render=artifacts_text.print_history)


@app.command()
def policy(
    name: Annotated[str, typer.Argument(help="The artifacts' name.")],
    file: Annotated[
        Path | None, typer.Option("--file", metavar="POLICY", help="Set the rules to those of this file.")
    ] = None,
    *,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show or set what must be true before a channel is promoted, and how long artifacts are kept.

    Example: shipfit artifacts policy gemma-3-270m-gptq-w4a16 --file policies/gemma-3-270m.yaml
    """
    from shipfit.artifacts import open_store
    from shipfit.spec import Policy, load, locate

    wanted = load(file, Policy) if file else None
    if wanted and wanted.name != name:
        raise InputError(
            f"is {wanted.name}, and the command names {name}",
            hint="name the same in both",
            where=locate(wanted, "name"),
            field="name",
        )
    if wanted and wanted.signed_by:
        wanted = wanted.model_copy(update={"signed_by": wanted.signed_by.with_text(wanted, "signed_by")})
    with open_store(store, progress()) as opened:
        if wanted:
            opened.set_policy(wanted)
        found = opened.policy(name)
    facts = {"name": name, "policy": found.model_dump(mode="json") if found else None}
    emit(facts, as_json=as_json, render=artifacts_text.print_policy)


@app.command()
def pin(
    artifact: Artifact,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; `gc` shows it.")],
    *,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Keep an artifact, whatever its age and whatever channels do.

    Example: shipfit artifacts pin gemma-3-270m-gptq-w4a16@stable --reason "baseline of the paper"
    """
    from shipfit.artifacts import open_store

    if not reason.strip():
        raise InputError("is empty", hint="say why it must stay", where="--reason")
    name, which = _split(artifact)
    with open_store(store, progress()) as opened:
        pinned = opened.pin(name, opened.resolve(name, which), reason)
    emit(pinned.model_dump(mode="json"), as_json=as_json, render=artifacts_text.print_pinned)


@app.command()
def unpin(artifact: Artifact, *, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Take the pin of an artifact away.

    Example: shipfit artifacts unpin gemma-3-270m-gptq-w4a16@stable
    """
    from shipfit.artifacts import open_store

    name, which = _split(artifact)
    with open_store(store, progress()) as opened:
        fingerprint = opened.resolve(name, which)
        opened.unpin(name, fingerprint)
    facts = {"name": name, "fingerprint": fingerprint}
    emit(facts, as_json=as_json, render=artifacts_text.print_unpinned)


@app.command()
def gc(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this one.")] = None,
    *,
    keep: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Keep the newest N; left out, as the policy says.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Keep those that are younger, such as 12h, 30d or 8w."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; say what would go.")] = False,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Remove old artifacts that no channel, pin or running deployment names, and uploads that were cut off.

    Without a policy, the newest 5 stay, all of the last 30 days, and as far back as 5 rollbacks of a channel reach.

    Example: shipfit artifacts gc gemma-3-270m-gptq-w4a16 --keep 3 --older-than 30d --dry-run
    """
    from shipfit.artifacts import open_store
    from shipfit.serve.in_use import served_revisions

    _rules(None, keep, older_than)  # a wrong flag is wrong whatever the store holds
    with open_store(store, progress()) as opened:
        names = [name] if name else opened.names(committed=False)
        if name:
            opened.require_name(name)
        rows = []
        for each in names:
            rules = _rules(opened.policy(each), keep, older_than)
            decisions = opened.collect(each, rules, served_revisions(), progress(), dry_run=dry_run)
            rows += [{"name": each, **asdict(decision)} for decision in decisions]
        if not dry_run:
            opened.reclaim(progress())
    emit({"dry_run": dry_run, "artifacts": rows}, as_json=as_json, render=artifacts_text.print_collected)


def _rules(policy: Policy | None, keep: int | None, older_than: str | None) -> Retention:
    """The policy's retention, less what the command line says otherwise."""
    from pydantic import ValidationError

    from shipfit.spec import Retention

    said = policy.retention if policy else Retention()
    given = {"keep": keep, "older_than": older_than}
    try:
        return Retention(
            **said.model_dump() | {key: value for key, value in given.items() if value is not None}
        )
    except ValidationError:
        raise InputError(
            f"{older_than!r} is not an age", hint="write 12h, 30d or 8w", where="--older-than"
        ) from None


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


def _signature(signature: Signature) -> dict[str, Any]:
    """What a signature says of itself; ``verify`` says whether it is true."""
    return {"signer": signature.signer, "at": signature.at.isoformat(), "by": signature.by}


def _moved(channel: Channel) -> dict[str, Any]:
    return {**channel.model_dump(mode="json"), "fingerprint": channel.fingerprint}
