"""Whether a policy lets a channel point to an artifact: values in, reasons out."""

from __future__ import annotations

from collections.abc import Mapping

from shipfit.artifacts.records import Verdict
from shipfit.spec import Policy


def refusals(
    policy: Policy | None,
    channel: str,
    fingerprint: str,
    pointed: Mapping[str, str],
    verdicts: Mapping[str, Verdict],
    unsigned: str | None = None,
) -> list[str]:
    """Why a channel may not be promoted to an artifact whose gate passed; empty where it may.

    Args:
        pointed: by channel, the fingerprint it points to now.
        verdicts: by kind, the latest verdict on this very artifact.
        unsigned: why it does not bear the signature that the policy asks for; None where it does.
    """
    reasons = [unsigned] if unsigned else []
    rules = policy.channels.get(channel) if policy else None
    if rules is None:
        return reasons
    if rules.only_from and pointed.get(rules.only_from) != fingerprint:
        reasons.append(
            f"{channel} is promoted only from {rules.only_from}, which {_points(pointed, rules.only_from)}"
        )
    for kind in rules.verdicts:
        verdict = verdicts.get(kind)
        if verdict is None:
            reasons.append(f"no {kind} verdict is recorded on it")
        elif not verdict.passed:
            reasons.append(f"its {kind} of {verdict.at:%Y-%m-%d %H:%M} did not pass")
    return reasons


def _points(pointed: Mapping[str, str], channel: str) -> str:
    return f"is {pointed[channel][:12]}" if channel in pointed else "was never set"
