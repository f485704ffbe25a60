"""Writes an artifact's model card and bill of materials."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from shipfit.artifacts import ManifestDraft, Staged
from shipfit.quantize.provenance.bom import bill_of_materials
from shipfit.quantize.workspace import WEIGHTS

CARD, BOM = "README.md", "bom.cdx.json"
"""What they are called in the artifact; the card takes the place of the source's own."""

_LICENCE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def write_provenance(folder: Path, draft: ManifestDraft, staged: Staged, licence: str | None) -> None:
    """Write both into a folder.

    Args:
        folder: an existing one, with what else is added to the artifact: the bill of materials lists that too.
        draft: all that is known of the artifact.
        staged: its files.
        licence: of its source, from ``licence_of``.
    """
    (folder / CARD).write_text(_card(draft, staged, licence), encoding="utf-8")
    digests = {entry.path: entry.sha256 for entry in staged.files}
    digests |= {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    bom = bill_of_materials(draft, digests, licence)
    (folder / BOM).write_text(json.dumps(bom, indent=2) + "\n", encoding="utf-8")


def _card(draft: ManifestDraft, staged: Staged, licence: str | None) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - the result is Markdown
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True
    )
    limits = {name[4:]: f"{name[:3]} {value:.4g}" for name, value in draft.gate.limits.items()}
    weights = [entry for entry in staged.files if entry.path.endswith(WEIGHTS)]
    return environment.get_template("card.md.jinja").render(
        draft=draft,
        licence=licence,
        licence_is_name=bool(licence and _LICENCE_NAME.fullmatch(licence)),
        limits=limits,
        weight_bytes=sum(entry.bytes for entry in weights),
        gguf=any(entry.path.endswith(".gguf") for entry in weights),
    )
