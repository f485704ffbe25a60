"""What is asked of each source: its share of the samples, and how much of its text is taken for that."""

from __future__ import annotations

from dataclasses import dataclass

from shipfit.core.errors import InputError
from shipfit.quantize.datasets.model import Part
from shipfit.quantize.datasets.places import identity
from shipfit.quantize.inside.shipfit_samples import shares
from shipfit.spec import Pipeline, TextSource, locate

BYTES_OF_A_TOKEN = 16
"""Bytes of text that are taken for each token asked for: four times what a token of English is on average, so that
there is something to choose from (help.openai.com/en/articles/4936856: a token is about four characters)."""
LEAST_BYTES = 2**20
"""Bytes of text that are taken from a source in any case, where it has that many."""
_PARTS: tuple[Part, ...] = ("calibration", "gate")


@dataclass(frozen=True)
class Asked:
    """An entry of a dataset, and what it must yield.

    Attributes:
        part, number: which entry of the spec it is.
        entry: the source as the spec names it.
        samples: its share of them.
        tokens: of a sample.
    """

    part: Part
    number: int
    entry: TextSource
    samples: int
    tokens: int

    @property
    def limit(self) -> int:
        """Bytes of text after which no more of the source is read."""
        return max(LEAST_BYTES, self.samples * self.tokens * BYTES_OF_A_TOKEN)

    def refusal(self, pipeline: Pipeline, message: str, hint: str) -> InputError:
        """An error that names this entry's line in the pipeline's file."""
        return InputError(
            message,
            hint=hint,
            where=locate(pipeline, self.part, "dataset", self.number),
            field=f"{self.part}.dataset[{self.number}]",
        )


def asked(pipeline: Pipeline) -> dict[Part, list[Asked]]:
    """What is asked of each source of each part; nothing of a part that the pipeline does not have.

    Raises:
        InputError: a source is named twice, within a part or in both, or its share is nothing.
    """
    found = {part: _asked_of(pipeline, part) for part in _PARTS}
    seen: dict[tuple[str | None, ...], Asked] = {}
    for each in [*found["calibration"], *found["gate"]]:
        first = seen.setdefault(identity(pipeline, each.entry), each)
        if first is not each:
            hint = "the gate needs text that is not calibrated on"
            raise each.refusal(
                pipeline,
                f"{each.entry.source!r} is {first.part}.dataset[{first.number}] too",
                hint if first.part != each.part else "name it once, with a larger weight",
            )
    return found


def _asked_of(pipeline: Pipeline, part: Part) -> list[Asked]:
    section = pipeline.calibration if part == "calibration" else pipeline.gate
    if section is None:
        return []
    entries = [
        entry if isinstance(entry, TextSource) else TextSource(source=entry) for entry in section.dataset
    ]
    parts = shares(section.samples, [entry.weight for entry in entries])
    found = [
        Asked(part, number, entry, samples, section.tokens)
        for number, (entry, samples) in enumerate(zip(entries, parts, strict=True))
    ]
    for each in found:
        if not each.samples:
            raise each.refusal(
                pipeline,
                f"gets none of the {section.samples} samples by its weight of {each.entry.weight:g}",
                "give it more weight, ask for more samples, or leave it out",
            )
    return found
