"""What serving costs: the user's own prices over what is taken and what is answered. Pure; no prices stand here.

an hour          = (replicas + spare) x GPUs a replica x price of one GPU
a million tokens = an hour / (tokens a second x 3600) x 1,000,000
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_MILLION = 1e6
_HOUR_S = 3600


@dataclass(frozen=True)
class Prices:
    """Prices of kinds of GPU.

    Attributes:
        currency: of every price, such as ``USD``.
        hour: one GPU (of a processor: one core) for an hour, by its name in the catalogue.
    """

    currency: str
    hour: Mapping[str, float]


@dataclass(frozen=True)
class TokenCost:
    """What a million tokens cost at a speed.

    Attributes:
        output: a million output tokens, the whole cost laid on them.
        total: a million tokens of prompts and answers together.
    """

    output: float
    total: float


def token_cost(an_hour: float, output_tokens_per_s: float, tokens_in: float, tokens_out: float) -> TokenCost:
    """What a million tokens cost.

    Args:
        an_hour: what the deployment costs an hour.
        output_tokens_per_s: output tokens of the whole deployment, a second; above zero.
        tokens_in: of a prompt.
        tokens_out: of an answer.
    """
    output = an_hour / (output_tokens_per_s * _HOUR_S) * _MILLION
    return TokenCost(output, output * tokens_out / (tokens_in + tokens_out))
