from __future__ import annotations

import yaml

from scripts.parameters import Tree

CONTENT = {
    "everywhere": {"link": [0.5, 2.0], "all_reduce_s": [2.0e-6, 2.0], "narrow_reading": [60, 2]},
    "unknown": "hopper",
    "releases": [{"since": "0.0.0", "step_s": [1.0e-3, 2.0]}, {"since": "0.8.0", "step_s": 2.0e-3}],
}


def test_pairs_are_what_is_searched_for() -> None:
    places = [each.place for each in Tree(CONTENT).parameters]
    everywhere = [("everywhere", name) for name in ("link", "all_reduce_s", "narrow_reading")]
    assert [*everywhere, ("releases", 0, "step_s")] == places


def test_values_lie_factors_away_and_shares_end_at_1() -> None:
    filled = Tree(CONTENT).filled([3, 1, -1, 0])
    assert {"link": 1.0, "all_reduce_s": 4.0e-6, "narrow_reading": 30} == filled["everywhere"]
    assert [{"since": "0.0.0", "step_s": 1.0e-3}, {"since": "0.8.0", "step_s": 2.0e-3}] == filled["releases"]


def test_the_text_is_read_as_it_was_filled_and_marks_what_did_not_move() -> None:
    tree = Tree(CONTENT)
    text = tree.text([0, 1, -1, 0])
    assert tree.filled([0, 1, -1, 0]) == yaml.safe_load(text)
    assert ["link: 0.5 # assumed", '- since: "0.0.0"', "step_s: 1.00e-3 # assumed"] == [
        line.strip() for line in text.splitlines() if "assumed" in line or "0.0.0" in line
    ]
