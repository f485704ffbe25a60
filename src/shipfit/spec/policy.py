"""The Policy spec: what an artifact must have before a channel may point to it, and how long artifacts are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, model_validator

from shipfit.spec.base import Document, Name, Section
from shipfit.spec.signing import SignedBy

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}

Age = Annotated[str, Field(pattern=r"^[0-9]{1,4}[hdw]$")]
"""An age in hours, days or weeks, such as `12h`, `30d` or `8w`."""


def age(text: str) -> timedelta:
    """An ``Age`` as a duration."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


class ChannelRules(Section):
    """What must be true of an artifact before a channel is promoted to it. A rollback is always allowed."""

    only_from: Name | None = None
    """The channel that must point to it at that moment, such as `candidate`; left out, none has to."""
    verdicts: list[Name] = Field(default=[])
    """Kinds of verdict that must be recorded on this very artifact, the latest of each passed, such as `load-test`."""


class Retention(Section):
    """Which artifacts `shipfit artifacts gc` keeps although nothing names them."""

    keep: NonNegativeInt = 5
    """How many of the newest."""
    older_than: Age = "30d"
    """Those that are younger than this: hours (`12h`), days (`30d`) or weeks (`8w`)."""
    rollbacks: NonNegativeInt = 5
    """For each channel, how many rollbacks in a row find their artifact still there."""


class Policy(Document):
    """The rules for the artifacts of one name: reviewed as a file, and set by `shipfit artifacts policy`."""

    kind: Literal["Policy"]
    """Says that this file is a Policy."""
    channels: dict[Name, ChannelRules] = Field(default={})
    """Rules by channel; a channel that is not here may be promoted to any artifact whose gate passed."""
    signed_by: SignedBy | None = None
    """Whose signature an artifact must bear before any channel may point to it, and before it is pulled or served."""
    retention: Retention = Retention()
    """What the removal of old artifacts keeps."""

    @model_validator(mode="after")
    def _no_channel_waits_for_itself(self) -> Policy:
        for channel in self.channels:
            chain = [channel]
            while (rules := self.channels.get(chain[-1])) and rules.only_from:
                if rules.only_from in chain:
                    raise ValueError(
                        f"channels wait for each other: {' from '.join([*chain, rules.only_from])}"
                    )
                chain.append(rules.only_from)
        return self
