"""Without Ray, one line says what to install."""

from __future__ import annotations

import pytest

from shipfit.core.errors import EnvironmentFailure
from shipfit.quantize.cluster import common


def test_without_ray_the_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "find_spec", lambda _name: None)
    with pytest.raises(EnvironmentFailure, match=r"pip install 'shipfit\[ray\]'"):
        common.require_ray()
