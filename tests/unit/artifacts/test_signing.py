from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shipfit.artifacts import ManifestDraft, Signature, Store, signer_of
from shipfit.artifacts.layout import signature_key
from shipfit.artifacts.objects import Objects
from shipfit.artifacts.promotion import refusals
from shipfit.artifacts.pull import MARKER
from shipfit.artifacts.records import now
from shipfit.artifacts.signing import Signed
from shipfit.cli.main import run
from shipfit.core.errors import EnvironmentFailure, ExitCode, InputError, VerdictError
from shipfit.core.progress import NoProgress
from shipfit.spec import ChannelRules, Deployment, Pipeline, Policy, SignedBy, by_key, load

Draft = Callable[..., ManifestDraft]
QUIET = NoProgress()
KEY = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"

POLICY = "apiVersion: shipfit/v1\nkind: Policy\nname: demo\n"
DEPLOYMENT = """\
apiVersion: shipfit/v1
kind: Deployment
name: demo
model: bundled:gemma-3-270m
promise: {context: 1024, concurrency: 4}
"""
PIPELINE = """\
apiVersion: shipfit/v1
kind: Pipeline
name: demo
source: bundled:gemma-3-270m
recipe: {precision: bf16}
gate: {dataset: [b.txt]}
"""


def _policy(signed_by: SignedBy | None, **channels: ChannelRules) -> Policy:
    return Policy(apiVersion="shipfit/v1", kind="Policy", name="demo", channels=channels, signed_by=signed_by)


def _claimed(store: Store, objects: Objects, fingerprint: str, identity: str | None = None) -> Signature:
    """Put a signature into the store that nobody made: what it says is not verified where nobody asks for it."""
    made = Signature(
        name="demo", fingerprint=fingerprint, id="b" * 64, identity=identity, bundle="{}", at=now(), by="me@x"
    )
    key = signature_key("demo", fingerprint, made.id)
    objects.write(key, made.model_dump_json().encode(), "planting")
    return made


def test_a_policy_keeps_what_is_not_signed_from_channels_and_machines(
    store: Store, model: Path, draft: Draft
) -> None:
    fingerprint = store.publish(model, draft(), QUIET).fingerprint
    store.promote("demo", "stable", fingerprint)
    store.set_policy(_policy(SignedBy(public_key=KEY)))
    with pytest.raises(VerdictError, match=r"demo@candidate may not be promoted to \w{12}: it is not signed"):
        store.promote("demo", "candidate", fingerprint)
    for refused in (
        lambda: store.pull("demo", "stable", QUIET),
        lambda: store.verify("demo", fingerprint, QUIET),
    ):
        with pytest.raises(
            EnvironmentFailure, match=r"artifact demo \(\w{12}\) is refused: it is not signed; roll"
        ):
            refused()
    assert ["stable"] == [each.channel for each in store.channels("demo")]
    store.set_policy(_policy(None))
    assert fingerprint == store.promote("demo", "candidate", fingerprint).fingerprint


def test_who_pulls_may_ask_for_more_than_the_policy(store: Store, model: Path, draft: Draft) -> None:
    fingerprint = store.publish(model, draft(), QUIET).fingerprint
    store.pull("demo", fingerprint, QUIET)
    with pytest.raises(EnvironmentFailure, match="is refused: it is not signed"):
        store.pull("demo", fingerprint, QUIET, SignedBy(public_key=KEY))


def test_a_missing_signature_is_one_reason_among_others() -> None:
    policy = _policy(
        SignedBy(public_key=KEY), stable=ChannelRules(only_from="candidate", verdicts=["load-test"])
    )
    assert ["it is not signed"] == refusals(policy, "candidate", "1" * 64, {}, {}, "it is not signed")
    assert [
        "it is not signed",
        "stable is promoted only from candidate, which was never set",
        "no load-test verdict is recorded on it",
    ] == refusals(policy, "stable", "1" * 64, {}, {}, "it is not signed")


def test_signatures_are_pulled_shown_and_removed_with_the_artifact(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    fingerprint = store.publish(model, draft(), QUIET).fingerprint
    first = store.pull("demo", fingerprint, QUIET)
    assert [] == store.signatures("demo", fingerprint)
    signature = _claimed(store, objects, fingerprint)
    assert [signature] == store.signatures("demo", fingerprint)
    assert "key bbbbbbbbbbbb" == signature.signer
    assert "me@example.org" == signature.model_copy(update={"identity": "me@example.org"}).signer

    pulled = store.pull("demo", fingerprint, QUIET)
    assert (first.path, first.manifest) == (pulled.path, pulled.manifest)
    assert "{}" == (pulled.path / ".signatures" / f"{'b' * 64}.json").read_text()
    (pulled.path / ".signatures" / "other.json").write_text("{}")
    store.pull("demo", fingerprint, QUIET)
    assert [f"{'b' * 64}.json"] == [path.name for path in (pulled.path / ".signatures").iterdir()]

    objects.delete([signature_key("demo", fingerprint, signature.id)], "unsigning")
    store.pull("demo", fingerprint, QUIET)
    assert [] == [path for path in (pulled.path / ".signatures").iterdir() if path.is_file()]


def test_what_is_signed_names_every_file_and_the_manifest_to_the_byte(
    store: Store, model: Path, draft: Draft
) -> None:
    manifest = store.publish(model, draft(), QUIET)
    content = (store.pull("demo", manifest.fingerprint, QUIET).path / MARKER).read_bytes()
    signed = Signed.of(manifest, content)
    assert [*(entry.path for entry in manifest.files), MARKER] == list(signed.files)
    assert signed.files != Signed.of(manifest, content + b" ").files
    assert f"demo ({manifest.fingerprint[:12]})" == str(signed)


def test_a_policy_takes_the_text_of_the_key_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "team.pub").write_text(KEY)
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY + "signed_by: {public_key: keys/team.pub}\n")
    url = f"file://{tmp_path}/bucket"
    words = ["artifacts", "policy", "demo", "--file", str(file), "--store", url, "--json", "--progress=quiet"]
    assert ExitCode.YES == run(words)
    assert KEY == json.loads(capsys.readouterr().out)["policy"]["signed_by"]["public_key"]

    file.write_text(POLICY + "\nsigned_by:\n  public_key: team.pub\n")
    assert ExitCode.BAD_INPUT == run(words)
    told = capsys.readouterr().err
    assert f"{file}:6: signed_by.public_key: {tmp_path}/team.pub cannot be read: No such file" in told


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe", "cannot be read: it is not PEM"),
        (b"", "holds no public key in PEM form"),
        (b"-----BEGIN PRIVATE KEY-----\n", "holds no public key in PEM form"),
    ],
)
def test_a_file_without_a_public_key_is_one_line(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "team.pub"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        by_key(path)
    assert f"{path} {words}; name the file that `openssl pkey" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (Policy, POLICY + "signed_by: {}\n", "4: signed_by: name either public_key, or identity and issuer"),
        (
            Policy,
            POLICY + "signed_by: {identity: me@example.org}\n",
            "4: signed_by: name either public_key, or identity and issuer",
        ),
        (
            Policy,
            POLICY + "signed_by: {public_key: a, identity: b, issuer: 'https://c'}\n",
            "4: signed_by: name either public_key, or identity and issuer",
        ),
        (
            Policy,
            POLICY + "signed_by: {identity: me, issuer: google}\n",
            "4: signed_by.issuer: String should match pattern",
        ),
        (
            Deployment,
            DEPLOYMENT + "artifact_signed_by: {public_key: a}\n",
            "artifact_signed_by needs artifact: a source model bears no signature",
        ),
        (
            Pipeline,
            PIPELINE + "signing: {}\n",
            "7: signing: name either private_key, or keyless: true",
        ),
        (
            Pipeline,
            PIPELINE + "signing: {private_key: a, keyless: true}\n",
            "7: signing: name either private_key, or keyless: true",
        ),
    ],
)
def test_a_spec_that_names_nobody_or_two_is_refused(
    kind: type[Policy] | type[Deployment] | type[Pipeline], text: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load(path, kind)
    assert words in str(caught.value)


def test_a_pipeline_signs_with_a_key_beside_it_or_as_whoever_runs_it(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    signers = []
    for more in ("", "signing: {private_key: keys/team.pem}\n", "signing: {keyless: true}\n"):
        path.write_text(PIPELINE + more)
        signers.append(signer_of(load(path, Pipeline)))
    without, by_file, keyless = signers
    assert without is None
    assert by_file is not None
    assert tmp_path / "keys" / "team.pem" == by_file.private_key
    assert keyless is not None
    assert keyless.private_key is None


@pytest.mark.parametrize("flags", [[], ["--keyless", "--private-key", "team.pem"]])
def test_sign_wants_one_signer(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ExitCode.BAD_INPUT == run(["artifacts", "sign", "demo", *flags])
    assert "give either --private-key FILE, or --keyless" in capsys.readouterr().err
