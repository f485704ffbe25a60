from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipfit.artifacts import ManifestDraft, Store, Verdict
from shipfit.artifacts.promotion import refusals
from shipfit.core.errors import InputError, VerdictError
from shipfit.core.progress import NoProgress
from shipfit.spec import ChannelRules, Policy, Retention, load

Draft = Callable[..., ManifestDraft]
QUIET = NoProgress()
ONE, TWO = "1" * 64, "2" * 64
POLICY = Policy(
    apiVersion="shipfit/v1",
    kind="Policy",
    name="demo",
    channels={"stable": ChannelRules(only_from="candidate", verdicts=["load-test"])},
)


def _verdict(passed: bool) -> dict[str, Verdict]:
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    made = Verdict(
        name="demo", fingerprint=ONE, kind="load-test", passed=passed, report={}, at=at, by="me@here"
    )
    return {"load-test": made}


@pytest.mark.parametrize(
    ("policy", "channel", "pointed", "verdicts", "expected"),
    [
        (None, "stable", {}, {}, []),
        (POLICY, "candidate", {}, {}, []),
        (POLICY, "stable", {"candidate": ONE}, _verdict(True), []),
        (
            POLICY,
            "stable",
            {"candidate": ONE},
            _verdict(False),
            ["its load-test of 2026-01-02 03:04 did not pass"],
        ),
        (POLICY, "stable", {"candidate": ONE}, {}, ["no load-test verdict is recorded on it"]),
        (
            POLICY,
            "stable",
            {"candidate": TWO},
            _verdict(True),
            ["stable is promoted only from candidate, which is 222222222222"],
        ),
        (
            POLICY,
            "stable",
            {},
            {},
            [
                "stable is promoted only from candidate, which was never set",
                "no load-test verdict is recorded on it",
            ],
        ),
    ],
)
def test_a_policy_says_all_that_is_missing(
    policy: Policy | None,
    channel: str,
    pointed: dict[str, str],
    verdicts: dict[str, Verdict],
    expected: list[str],
) -> None:
    assert expected == refusals(policy, channel, ONE, pointed, verdicts)


def test_a_channel_moves_only_as_its_policy_lets_it(store: Store, model: Path, draft: Draft) -> None:
    store.set_policy(POLICY)
    assert store.policy("demo") == POLICY
    one, two = (store.publish(model, draft(content=content), QUIET).fingerprint for content in "12")
    with pytest.raises(VerdictError, match="promoted only from candidate, which was never set; no load-test"):
        store.promote("demo", "stable", one)
    store.promote("demo", "candidate", one)
    store.record_verdict("demo", one, "load-test", False, {"ttft_p95_ms": 900.0})
    with pytest.raises(
        VerdictError, match=r"may not be promoted to .* did not pass; `shipfit artifacts policy demo`"
    ):
        store.promote("demo", "stable", one)
    store.record_verdict("demo", one, "load-test", True, {"ttft_p95_ms": 300.0})
    assert [{"ttft_p95_ms": 300.0}] == [verdict.report for verdict in store.verdicts("demo", one)]
    store.promote("demo", "stable", one)
    store.promote("demo", "candidate", two)
    store.record_verdict("demo", two, "load-test", True, {})
    store.promote("demo", "stable", two)
    # A rollback asks nobody.
    assert one == store.rollback("demo", "stable").fingerprint
    assert all("@" in move.by for channel in store.channels("demo") for move in channel.moves)


def test_a_verdict_is_of_an_artifact_that_is_there(store: Store, model: Path, draft: Draft) -> None:
    fingerprint = store.publish(model, draft(), QUIET).fingerprint
    with pytest.raises(InputError, match="'Load Test' is not a kind of verdict"):
        store.record_verdict("demo", fingerprint, "Load Test", True, {})
    assert [] == store.verdicts("demo", fingerprint)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "channels:\n  stable: {only_form: candidate}",
            ":5: channels.stable.only_form: is not a known key; did you mean only_from?",
        ),
        ("retention: {older_than: 3y}", ":4: retention.older_than: "),
        ("retention: {keep: -1}", ":4: retention.keep: "),
        ("channels:\n  stable: {only_from: stable}", "channels wait for each other: stable from stable"),
        (
            "channels:\n  a: {only_from: b}\n  b: {only_from: a}",
            "channels wait for each other: a from b from a",
        ),
        ("channels: [stable]", ":4: channels: "),
    ],
)
def test_a_wrong_policy_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f"apiVersion: shipfit/v1\nkind: Policy\nname: demo\n{text}\n")
    with pytest.raises(InputError) as caught:
        load(file, Policy)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_the_policy_in_the_documentation_is_one(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "keep-artifacts.md"
    file = tmp_path / "policy.yaml"
    file.write_text(page.read_text().partition("```yaml\n")[2].partition("```")[0])
    policy = load(file, Policy)
    assert ChannelRules(only_from="candidate", verdicts=["load-test"]) == policy.channels["stable"]
    assert Retention() == policy.retention
