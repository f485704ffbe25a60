"""Evidence of a sound artifact."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from shipfit.quantize.gate import Evidence, merge

ANSWERS: dict[str, Any] = {
    "quantize": {
        "versions": {"llmcompressor": "0.13.0", "torch": "2.13.0"},
        "samples": 32,
        "tokens": 8192,
        "layers": 126,
        "faults": [],
    },
    "structure": {
        "figures": {"structure_faults": 0},
        "intervals": {},
        "details": {
            "files": 1,
            "tensors": 489,
            "bytes": 500_000_000,
            "formats": {"BF16": 335_600_000, "I32": 120_000_000},
            "quantized_layers": 126,
            "faults": [],
        },
    },
    "distribution": {
        "figures": {
            "mean_kl": 0.05,
            "p99_kl": 0.5,
            "top1_agreement": 0.9,
            "source_perplexity": 20.0,
            "artifact_perplexity": 21.0,
            "perplexity_ratio": 1.05,
            "positions": 2040,
        },
        "intervals": {
            "mean_kl": [0.04, 0.06],
            "p99_kl": [0.3, 0.7],
            "top1_agreement": [0.88, 0.92],
            "source_perplexity": [17.0, 24.0],
            "artifact_perplexity": [18.0, 25.0],
            "perplexity_ratio": [1.03, 1.07],
        },
        "details": {
            "text": {"documents_sha256": "a" * 64, "samples": 8, "tokens": 256, "seed": 0},
            "resampled": "windows",
            "windows": [
                {
                    "document": f"1:{number}",
                    "mean_kl": 0.01 * number,
                    "top1_agreement": 0.9,
                    "source_perplexity": 20.0,
                    "artifact_perplexity": 21.0,
                }
                for number in range(1, 9)
            ],
            "versions": {"torch": "2.13.0", "transformers": "5.14.1"},
        },
    },
}


@pytest.fixture
def answers() -> dict[str, Any]:
    """What the workers answer of a sound artifact."""
    return copy.deepcopy(ANSWERS)


@pytest.fixture
def good() -> Evidence:
    """The same, merged."""
    return merge(ANSWERS)
