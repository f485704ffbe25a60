"""The licence of a source model, as its own files state it. An artifact carries it on."""

from __future__ import annotations

from pathlib import Path

import yaml

_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "USE_POLICY.md", "NOTICE")
"""What models' licences and their conditions are called in repositories; engines copy such files as they are."""


def licence_of(model: Path) -> str | None:
    """What the model's card (the front matter of README.md) calls its licence; else the file that holds it.

    Args:
        model: folder of the source.

    Returns:
        Such as ``apache-2.0``, ``llama3.3`` or ``see LICENSE``; None where nothing says.
    """
    card = _front_matter(model / "README.md")
    for key in ("license_name", "license"):
        named = card.get(key)
        if isinstance(named, str) and named and named != "other":
            return named
    found = next((name for name in _FILES if (model / name).exists()), None)
    return f"see {found}" if found else None


def _front_matter(path: Path) -> dict[str, object]:
    """The YAML between the first two lines of three dashes; empty where there is none that can be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    parts = text.split("\n---", 1)
    if not text.startswith("---") or len(parts) < 2:
        return {}
    try:
        values = yaml.safe_load(parts[0].removeprefix("---"))
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else {}
