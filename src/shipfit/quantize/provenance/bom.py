"""The bill of materials: CycloneDX 1.6 with a machine-learning model and what it was made of.

Format: cyclonedx.org/docs/1.6/json and cyclonedx.org/capabilities/mlbom. It is plain data, which the tests hold against
the published schema.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from shipfit import __version__
from shipfit.artifacts import ManifestDraft

_NAMESPACE = uuid.UUID("6f1b9a3c-2a53-5c1e-9a2e-6f0b8a1d4c77")
"""Of the serial numbers: one artifact, one number, whoever writes it."""


def bill_of_materials(
    draft: ManifestDraft, digests: Mapping[str, str], licence: str | None
) -> dict[str, Any]:
    """The CycloneDX document of an artifact.

    Args:
        draft: all that is known of it.
        digests: SHA-256 of every other file, by path.
        licence: of its source.
    """
    engine = f"{draft.engine.name}@{draft.engine.version}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, draft.fingerprint)}",
        "version": 1,
        "metadata": {
            "tools": {
                "components": [
                    {"type": "application", "name": "shipfit", "version": __version__},
                    {
                        "type": "application",
                        "bom-ref": engine,
                        "name": draft.engine.name,
                        "version": draft.engine.version,
                        "properties": [{"name": "shipfit:lock-sha256", "value": draft.engine.lock_sha256}],
                    },
                ]
            },
            "component": _model(draft, licence),
        },
        "components": [*_files(digests), *_texts(draft)],
    }


def _model(draft: ManifestDraft, licence: str | None) -> dict[str, Any]:
    measured = [
        {"type": name, "value": f"{value:.6g}", "slice": "held-out text, against the source model"}
        for name, value in draft.gate.figures.items()
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": draft.fingerprint,
        "name": draft.name,
        "version": draft.fingerprint[:12],
        **({"licenses": [{"license": {"name": licence}}]} if licence else {}),
        "pedigree": {
            "ancestors": [
                {
                    "type": "machine-learning-model",
                    "name": draft.source.model,
                    "version": draft.source.revision,
                    **({"licenses": [{"license": {"name": licence}}]} if licence else {}),
                }
            ],
            "notes": f"quantized to {draft.recipe['precision']} by {draft.engine.name} {draft.engine.version}",
        },
        "modelCard": {
            "modelParameters": {
                "task": "text-generation",
                "datasets": [{"ref": text["bom-ref"]} for text in _texts(draft)],
            },
            "quantitativeAnalysis": {"performanceMetrics": measured},
        },
        "properties": [
            {"name": f"shipfit:recipe:{key}", "value": str(value)} for key, value in draft.recipe.items()
        ],
    }


def _files(digests: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "type": "file",
            "bom-ref": f"file:{path}",
            "name": path,
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }
        for path, digest in sorted(digests.items())
    ]


def _texts(draft: ManifestDraft) -> list[dict[str, Any]]:
    digests = {
        "calibration text": draft.dataset.calibration_sha256,
        "held-out text": draft.dataset.gate_sha256,
    }
    return [
        {
            "type": "data",
            "bom-ref": f"data:{digest}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }
        for name, digest in digests.items()
        if digest
    ]
