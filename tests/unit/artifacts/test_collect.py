from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shipfit.artifacts import ManifestDraft, Store, collect, guards
from shipfit.artifacts.layout import artifacts_prefix, holds_prefix, removal_key, work_prefix
from shipfit.artifacts.objects import Object, Objects, in_memory
from shipfit.core.errors import EnvironmentFailure, InputError, ShipfitError
from shipfit.core.progress import NoProgress
from shipfit.spec import Retention

Draft = Callable[..., ManifestDraft]
QUIET = NoProgress()
ALL = Retention(keep=0, older_than="0h", rollbacks=5)
"""Nothing stays but what something names."""


def _gone(store: Store, rules: Retention = ALL, **named: Any) -> dict[str, bool]:
    return {each.fingerprint: each.goes for each in store.collect("demo", rules, {}, QUIET, **named)}


def test_only_what_nothing_names_goes_and_a_dry_run_only_says_so(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    prints = [store.publish(model, draft(content=str(number)), QUIET).fingerprint for number in range(6)]
    before, current, pinned, used, old, older = prints
    store.promote("demo", "stable", before)
    store.promote("demo", "stable", current)
    store.pin("demo", pinned, "baseline of the paper")
    store.record_verdict("demo", old, "load-test", True, {})
    in_use = {used: "deployment chat on this machine"}

    decisions = store.collect("demo", ALL, in_use, QUIET, dry_run=True)
    assert {old, older} == {each.fingerprint for each in decisions if each.goes}
    assert sorted(prints) == store.fingerprints("demo")
    why = {each.fingerprint: each.why for each in decisions}
    assert ["stable points to it"] == why[current]
    assert ["a rollback of stable leads to it"] == why[before]
    assert ["pinned: baseline of the paper"] == why[pinned]
    assert ["deployment chat on this machine runs it"] == why[used]

    done = store.collect("demo", ALL, in_use, QUIET)
    assert [(each.fingerprint, each.goes) for each in decisions] == [
        (each.fingerprint, each.goes) for each in done
    ]
    assert sorted(prints[:4]) == store.fingerprints("demo")
    for fingerprint in (old, older):
        assert [] == objects.below(f"{artifacts_prefix('demo')}/{fingerprint}", "counting")
    assert before == store.rollback("demo", "stable").fingerprint
    store.unpin("demo", pinned)
    with pytest.raises(InputError, match="is not pinned"):
        store.unpin("demo", pinned)


def test_a_release_pins_beside_people_and_lets_go_of_its_own_alone(
    store: Store, model: Path, draft: Draft
) -> None:
    served = store.publish(model, draft(), QUIET).fingerprint
    store.pin("demo", served, "baseline of the paper")
    store.pin("demo", served, "release chat serves it", holder="one")
    store.pin("demo", served, "release chat serves it", holder="two")
    assert ["baseline of the paper", *["release chat serves it"] * 2] == sorted(
        pin.reason for pin in store.pins("demo")
    )
    store.unpin("demo", served)
    store.unpin("demo", served, holder="one")
    assert {served: False} == _gone(store)
    store.unpin("demo", served, holder="two")
    with pytest.raises(InputError, match="is not pinned"):
        store.unpin("demo", served, holder="two")
    assert {served: True} == _gone(store)


def test_an_upload_in_flight_stays(store: Store, model: Path) -> None:
    staged = store.stage(model, "demo", "c" * 64, QUIET)
    decisions = store.collect("demo", ALL, {}, QUIET)
    assert ["an upload that was written to 0 h ago"] == decisions[0].why
    assert staged == store.staged("demo", "c" * 64)


def test_what_is_left_of_the_work_on_a_committed_artifact_goes(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    fingerprint = store.publish(model, draft(), QUIET).fingerprint
    store.promote("demo", "stable", fingerprint)
    store.keep_checkpoint("demo", fingerprint, "gate", "of", {})  # a run that was cut off in its last moment
    assert {fingerprint: False} == _gone(store)
    assert [] == objects.below(work_prefix("demo", fingerprint), "counting")


def test_what_was_measured_later_stays_as_long_as_the_artifact(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    fingerprint = store.publish(model, draft(), QUIET).fingerprint
    store.pin("demo", fingerprint, "wanted")
    store.keep_measurement("demo", fingerprint, "d" * 64, {"mean_kl": 0.07})
    assert {fingerprint: False} == _gone(store)
    assert {"mean_kl": 0.07} == store.measurement("demo", fingerprint, "d" * 64)
    assert store.measurement("demo", fingerprint, "e" * 64) is None
    store.unpin("demo", fingerprint)
    assert {fingerprint: True} == _gone(store)
    assert [] == objects.below(f"demo/artifacts/{fingerprint}", "counting")


def test_while_one_removes_others_neither_remove_nor_promote_nor_pin(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    fingerprint = store.publish(model, draft(), QUIET).fingerprint
    objects.create(removal_key("demo", fingerprint), b"{}", "marking")
    decisions = store.collect("demo", ALL, {}, QUIET)
    assert (False, ["another `shipfit artifacts gc` is removing it"]) == (decisions[0].goes, decisions[0].why)
    for name in (
        lambda: store.promote("demo", "stable", fingerprint),
        lambda: store.pin("demo", fingerprint, "wanted"),
    ):
        with pytest.raises(EnvironmentFailure, match="is being removed by `shipfit artifacts gc`"):
            name()
    assert [] == objects.below(holds_prefix("demo", fingerprint), "counting")


class _Turns:
    """Lets threads take turns at the store: one request, then whoever the dice say."""

    def __init__(self, objects: Objects, seed: int, names: list[str]) -> None:
        self._dice = random.Random(seed)
        self._waiting = set(names)
        self._condition = threading.Condition()
        self._turn = self._dice.choice(sorted(names))
        for request in ("read", "create", "write", "replace", "below", "delete", "folders", "size", "find"):
            setattr(objects, request, self._wrapped(getattr(objects, request)))

    def _wrapped(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            name = threading.current_thread().name
            if name not in self._waiting:  # the test itself
                return method(*arguments, **named)
            with self._condition:
                assert self._condition.wait_for(lambda: self._turn == name, 20)
                try:
                    return method(*arguments, **named)
                finally:
                    self._next()

        return wrapper

    def end(self) -> None:
        with self._condition:
            self._waiting.discard(threading.current_thread().name)
            self._next()

    def _next(self) -> None:
        if self._waiting:
            self._turn = self._dice.choice(sorted(self._waiting))
            self._condition.notify_all()


@pytest.mark.parametrize(
    "names", [["gc", "promote"], ["gc", "gc-2", "promote"], ["gc", "pin"], ["gc", "rollback"]]
)
def test_whatever_the_order_of_their_requests_nothing_named_is_removed(
    names: list[str], model: Path, draft: Draft
) -> None:
    (model / "model.safetensors").write_bytes(b"small")
    outcomes = set()
    for seed in range(80):
        objects = in_memory()
        store = Store(objects)
        old, new = (store.publish(model, draft(content=content), QUIET).fingerprint for content in "12")
        store.promote("demo", "stable", old)
        store.promote("demo", "stable", new)
        wanted = draft(content="3").fingerprint
        store.publish(model, draft(content="3"), QUIET)
        rules = ALL
        if "rollback" in names:
            rules, wanted = Retention(keep=0, older_than="0h", rollbacks=0), old
        acts = {
            "gc": lambda store=store, rules=rules: store.collect("demo", rules, {}, QUIET),
            "promote": lambda store=store, wanted=wanted: store.promote("demo", "stable", wanted),
            "pin": lambda store=store, wanted=wanted: store.pin("demo", wanted, "wanted"),
            "rollback": lambda store=store: store.rollback("demo", "stable"),
        }
        acts["gc-2"] = acts["gc"]
        turns = _Turns(objects, seed, names)
        failed: dict[str, ShipfitError] = {}

        def act(
            name: str,
            turns: _Turns = turns,
            acts: dict[str, Any] = acts,
            failed: dict[str, ShipfitError] = failed,
        ) -> None:
            try:
                acts[name]()
            except ShipfitError as error:
                failed[name] = error
            finally:
                turns.end()

        threads = [threading.Thread(target=act, args=(name,), name=name) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        channel = store.channel("demo", "stable")
        assert channel is not None
        for fingerprint in (channel.fingerprint, *(pin.fingerprint for pin in store.pins("demo"))):
            store.verify("demo", fingerprint, QUIET)
        for fingerprint in store.fingerprints("demo"):  # what is seen is whole
            store.verify("demo", fingerprint, QUIET)
        names_it = names[-1] not in failed
        assert names_it is (wanted in {channel.fingerprint, *(pin.fingerprint for pin in store.pins("demo"))})
        outcomes.add(names_it)
    assert {True, False} == outcomes  # both sides were seen to give way


def test_a_removal_that_is_cut_off_leaves_nothing_half_visible(model: Path, draft: Draft) -> None:
    for place in range(100):
        objects = in_memory()
        store = Store(objects)
        fingerprint = store.publish(model, draft(), QUIET).fingerprint
        left = iter(range(place))
        for request in ("read", "create", "write", "below", "delete", "find"):
            setattr(objects, request, _failing(getattr(objects, request), left))
        try:
            store.collect("demo", ALL, {}, QUIET)
        except EnvironmentFailure:
            ended = False
        else:
            ended = True
        whole = Store(_copied(objects))
        for visible in whole.fingerprints("demo"):
            whole.verify("demo", visible, QUIET)
        if ended:
            assert [] == whole.fingerprints("demo")
            assert [] == _copied(objects).below(f"demo/artifacts/{fingerprint}", "counting")
            assert 8 < place
            return
    pytest.fail("it never ended")


def _failing(method: Callable[..., Any], left: Any) -> Callable[..., Any]:
    def wrapper(*arguments: Any, **named: Any) -> Any:
        if next(left, None) is None:
            raise EnvironmentFailure("the store is gone")
        return method(*arguments, **named)

    return wrapper


def _copied(objects: Objects) -> Objects:
    """The same store, asked without the wrapped methods."""
    return Objects(objects._quick, objects._patient, objects.label)


def test_a_mark_that_was_forgotten_is_taken_over(
    store: Store, objects: Objects, model: Path, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes, stays = (store.publish(model, draft(content=each), QUIET).fingerprint for each in "12")
    store.promote("demo", "stable", stays)
    for fingerprint in (goes, stays, "f" * 64):  # the last is of an artifact that was removed whole
        objects.create(removal_key("demo", fingerprint), b"{}", "marking")
    monkeypatch.setattr(collect, "COUNTS_FOR", timedelta(0))
    assert {goes: True, stays: False} == _gone(store)
    assert [stays] == store.fingerprints("demo")
    left = objects.below("demo/guards/removals", "counting")
    assert [] == [each.key for each in left if not each.key.endswith(".lock")]


def test_a_mark_that_was_forgotten_keeps_nobody_from_naming_the_artifact(
    store: Store, objects: Objects, model: Path, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = store.publish(model, draft(), QUIET).fingerprint
    objects.create(removal_key("demo", fingerprint), b"{}", "marking")
    with pytest.raises(EnvironmentFailure, match="is being removed"):
        store.promote("demo", "stable", fingerprint)
    find = objects.find

    def an_hour_later(key: str, doing: str) -> Object | None:
        found = find(key, doing)
        marks = found and key == removal_key("demo", fingerprint)
        return replace(found, changed=found.changed - guards.COUNTS_FOR) if marks else found

    monkeypatch.setattr(objects, "find", an_hour_later)
    store.promote("demo", "stable", fingerprint)
