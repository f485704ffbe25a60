"""The PriceList spec: what a GPU costs its user. There are no prices in shipfit itself."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import Field, field_validator

from shipfit.spec.base import Document, Positive, Section


class Price(Section):
    """What one GPU costs."""

    gpu: str
    """Name in the GPU catalogue (`shipfit gpus` lists it); `cpu` for a core of this machine."""
    hour: Positive
    """For one of them, an hour."""


class PriceList(Document):
    """A file of prices, named by a Deployment's `prices` or by `shipfit plan --prices`."""

    kind: Literal["PriceList"]
    """Says that this file is a PriceList."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    """Currency of every price, such as `USD`."""
    prices: Annotated[list[Price], Field(min_length=1)]
    """The prices."""

    @field_validator("prices")
    @classmethod
    def _each_once(cls, prices: list[Price]) -> list[Price]:
        name, times = Counter(price.gpu for price in prices).most_common(1)[0]
        if times > 1:
            raise ValueError(f"{name} stands {times} times; keep one")
        return prices
