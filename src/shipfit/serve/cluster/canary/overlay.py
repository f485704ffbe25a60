"""What a canary's revision of a release is: all that serves, and beside it what is new. Pure."""

from __future__ import annotations

import math
from copy import deepcopy

from shipfit.core.errors import InputError
from shipfit.serve.cluster.values import MODEL, Values

_KEPT = ("servedName", "replicas", "autoscaling", "rollout", "slo", "canary")
"""What a model's canary has of its own, or not at all."""

_OF_MODELS = ("models", "modelDefaults", "record", "engine")


def with_canary(serving: Values, new: Values, percent: int) -> Values:
    """The values that serve, with a canary of what is new about the deployment's model.

    Each key that differs is the new one as a whole, so that what is new does without, the canary does without too.

    Args:
        serving: values of the release as it is, a canary of before among them or not.
        new: what it is to be.
        percent: of the requests, for the canary; it gets as large a share of the new replicas.

    Raises:
        InputError: nothing about the model is new that a canary could show.
    """
    values = deepcopy(serving)
    model = values["models"][MODEL]
    model.pop("canary", None)
    before, after = _of_model(values), _of_model(new)
    if (old := before.get("servedName")) != (name := after.get("servedName")):
        raise InputError(
            f"the model is called {name} now, and clients ask for {old}: a canary cannot answer to another name",
            hint="deploy it",
        )
    differing = [key for key in {**before, **after} if before.get(key) != after.get(key) and key not in _KEPT]
    if not differing:
        raise InputError(
            f"nothing about the model differs from what serves; {_told(left_out(serving, new))}",
            hint="`shipfit deploy` changes it",
        )
    share = math.ceil(after.get("replicas", 1) * percent / 100)
    model["canary"] = {
        "percent": percent,
        "replicas": share,
        **{key: after[key] if key in after else type(before[key])() for key in differing},
    }
    values["record"] = {**serving["record"], "canary": {**new["record"], "percent": percent}}
    return values


def left_out(serving: Values, new: Values) -> list[str]:
    """Values that differ and that no canary can show, by their first name; they come with the whole rollout."""
    before, after = _besides(serving), _besides(new)
    return sorted(key for key in {**before, **after} if before.get(key) != after.get(key))


def _merged(below: Values, above: Values) -> Values:
    """Two maps of values as Helm merges them: what is a map in both is merged in turn."""
    return {
        **below,
        **{
            key: _merged(below[key], value)
            if isinstance(value, dict) and isinstance(below.get(key), dict)
            else value
            for key, value in above.items()
        },
    }


def _of_model(values: Values) -> Values:
    """All that values say of the deployment's model, wherever they say it."""
    image = (values.get("engine") or {}).get("image")
    everywhere = {"engine": {"image": image}} if image else {}
    return _merged(_merged(everywhere, values.get("modelDefaults") or {}), values["models"][MODEL])


def _besides(values: Values) -> Values:
    """All that they say besides."""
    engine = {key: value for key, value in (values.get("engine") or {}).items() if key != "image"}
    kept = {key: value for key, value in values.items() if key not in _OF_MODELS}
    return kept | ({"engine": engine} if engine else {})


def _told(names: list[str]) -> str:
    return f"what does is {', '.join(names)}" if names else "not even its other values do"
