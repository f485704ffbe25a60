"""Signing on real SeaweedFS with real OpenSSF model-signing and keys that openssl made as the documentation says."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from shipfit.artifacts import (
    Manifest,
    ManifestDraft,
    Signature,
    Signer,
    Store,
    check_signer,
    open_store,
    running,
)
from shipfit.artifacts.layout import artifacts_prefix, manifest_key, signature_key
from shipfit.artifacts.objects import Objects
from shipfit.cli.main import run
from shipfit.core.errors import EnvironmentFailure, ExitCode, InputError, VerdictError
from shipfit.core.progress import NoProgress
from shipfit.environments import ensure
from shipfit.spec import Pipeline, Policy, Retention, SignedBy, by_key, load

pytestmark = pytest.mark.integration

Draft = Callable[..., ManifestDraft]
QUIET = NoProgress()
PASSWORD = "SHIPFIT_SIGNING_PASSWORD"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key pairs: ``team`` with the password "secret", ``other`` without; and keys of kinds that do not sign models."""
    folder = tmp_path_factory.mktemp("keys")
    p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    for name, words in {
        "team": [*p256, "-aes256", "-pass", "pass:secret"],
        "other": p256,
        "bitcoin": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
        "rsa": ["-algorithm", "RSA"],
    }.items():
        private = folder / f"{name}.pem"
        public = [
            "openssl",
            "pkey",
            "-in",
            private,
            "-passin",
            "pass:secret",
            "-pubout",
            "-out",
            f"{folder}/{name}.pub",
        ]
        for command in (["openssl", "genpkey", *words, "-out", private], public):
            subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text('{"architectures": ["Gemma3ForCausalLM"]}')
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 256)
    return folder


def _objects() -> Objects:
    found = running.read()
    assert found is not None
    return running.objects(found.ports)


def _tool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command of model-signing itself, which knows nothing of shipfit."""
    python = ensure("model-signing").python
    return subprocess.run(
        [python, "-m", "model_signing", *words], capture_output=True, text=True, check=False
    )


def test_an_artifact_is_signed_promoted_pulled_verified_and_removed(
    own_store: Path,
    small: Path,
    keys: Path,
    draft: Draft,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    team = by_key(keys / "team.pub")
    with open_store(None, QUIET) as store:
        fingerprint = store.publish(small, draft(), QUIET).fingerprint
        store.set_policy(Policy(apiVersion="shipfit/v1", kind="Policy", name="demo", signed_by=team))
        with pytest.raises(VerdictError, match="it is not signed"):
            store.promote("demo", "stable", fingerprint)

        which = f"demo@{fingerprint[:12]}"
        sign = ["artifacts", "sign", which, "--private-key", str(keys / "team.pem"), "--progress=quiet"]
        assert ExitCode.BAD_INPUT == run(sign)
        assert "team.pem cannot be used as a private key: Password was not given" in capsys.readouterr().err
        monkeypatch.setenv(PASSWORD, "secret")
        assert ExitCode.YES == run(sign)
        digest = hashlib.sha256((keys / "team.pub").read_bytes()).hexdigest()
        assert f"demo ({fingerprint[:12]}) is signed by key {digest[:12]}\n" == capsys.readouterr().out
        assert store.sign("demo", fingerprint, Signer(keys / "team.pem"), QUIET) is None

        assert fingerprint == store.promote("demo", "stable", fingerprint).fingerprint
        assert ExitCode.YES == run(["artifacts", "show", "demo", "--json"])
        assert [f"key {digest[:12]}"] == [
            each["signer"] for each in json.loads(capsys.readouterr().out)["signatures"]
        ]

        foreign = ["artifacts", "pull", "demo", "--signed-by", str(keys / "other.pub")]
        assert ExitCode.ENVIRONMENT == run(foreign)
        told = capsys.readouterr().err
        assert (
            f"artifact demo ({fingerprint[:12]}) is refused: it is signed by key {digest[:12]}, not by key"
            in told
        )
        pulled = store.pull("demo", "stable", QUIET)

        # What the pulled folder holds, another program verifies as it is.
        bundle = pulled.path / ".signatures" / f"{digest}.json"
        words = ("verify", "key", pulled.path, "--signature", bundle, "--public_key", keys / "team.pub")
        assert "Verification succeeded" in _tool(*words).stdout
        (pulled.path / "config.json").write_text("{}")
        assert "Hash mismatch for 'config.json'" in _tool(*words).stderr

        store.set_policy(Policy(apiVersion="shipfit/v1", kind="Policy", name="demo"))
        newer = store.publish(small, draft("2"), QUIET).fingerprint
        store.promote("demo", "stable", newer)
        store.collect("demo", Retention(keep=0, older_than="0h", rollbacks=0), {}, QUIET)
        assert [] == _objects().below(f"{artifacts_prefix('demo')}/{fingerprint}", "counting")


def _better_figures(content: bytes, foreign: Signature) -> bytes:
    return content.replace(b'"mean_kl": 0.05', b'"mean_kl": 0.01')


def _another_artifacts(content: bytes, foreign: Signature) -> bytes:
    return _with_bundle(content, foreign.bundle)


def _another_payload(content: bytes, foreign: Signature) -> bytes:
    forged = json.loads(Signature.model_validate_json(content).bundle)
    forged["dsseEnvelope"]["payload"] = json.loads(foreign.bundle)["dsseEnvelope"]["payload"]
    return _with_bundle(content, json.dumps(forged))


def _no_bundle(content: bytes, foreign: Signature) -> bytes:
    return _with_bundle(content, "nothing")


def _with_bundle(content: bytes, bundle: str) -> bytes:
    return (
        Signature.model_validate_json(content)
        .model_copy(update={"bundle": bundle})
        .model_dump_json()
        .encode()
    )


def test_what_was_tampered_with_is_refused(
    shared_store: Store, small: Path, keys: Path, draft: Draft
) -> None:
    own, other = (shared_store.publish(small, draft(name=name), QUIET) for name in ("signed", "foreign"))
    signer, wanted = Signer(keys / "other.pem"), by_key(keys / "other.pub")
    signature, foreign = (
        shared_store.sign(each.name, each.fingerprint, signer, QUIET) for each in (own, other)
    )
    assert signature is not None
    assert foreign is not None

    def pull(wanted: SignedBy) -> Manifest:
        return shared_store.pull("signed", own.fingerprint, QUIET, wanted).manifest

    documents = {
        "manifest": manifest_key("signed", own.fingerprint),
        "signature": signature_key("signed", own.fingerprint, signature.id),
    }
    for document, tamper, why in (
        (
            "manifest",
            _better_figures,
            r"by key \w{12} does not hold \(other content was signed of manifest\.json\)",
        ),
        (
            "signature",
            _another_artifacts,
            r"by key \w{12} does not hold \(other content was signed of manifest\.json\)",
        ),
        ("signature", _another_payload, r"by key \w{12} does not hold \(InvalidSignature\)"),
        ("signature", _no_bundle, "by nobody that can be read does not hold"),
    ):
        before = _objects().read(documents[document], "reading")
        assert before is not None
        after = tamper(before.content, foreign)
        assert before.content != after
        _objects().write(documents[document], after, "tampering")
        with pytest.raises(EnvironmentFailure, match=why) as caught:
            pull(wanted)
        assert f"artifact signed ({own.fingerprint[:12]}) is refused: its signature" in str(caught.value)
        assert "\n" not in str(caught.value)
        _objects().write(documents[document], before.content, "mending")
    assert own == pull(wanted)

    for useless in (by_key(keys / "rsa.pub"), SignedBy(public_key="-----BEGIN PUBLIC KEY-----\nno key")):
        with pytest.raises(InputError, match="the public key cannot be used: "):
            pull(useless)


@pytest.mark.parametrize(
    ("file", "password", "why"),
    [
        ("rsa.pem", None, "it is no elliptic-curve key; make one: `openssl"),
        ("bitcoin.pem", None, "Unsupported key for curve 'secp256k1'; make one: `openssl"),
        ("other.pub", None, "cannot be used as a private key: "),
        ("team.pem", "wrong", "Incorrect password, could not decrypt key; set SHIPFIT_SIGNING_PASSWORD"),
        ("none.pem", None, "none.pem cannot be read: No such file or directory"),
    ],
)
def test_a_key_that_cannot_sign_is_told_before_any_work(
    file: str, password: str | None, why: str, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    if password:
        monkeypatch.setenv(PASSWORD, password)
    with pytest.raises(InputError) as caught:
        check_signer(_pipeline(tmp_path, f"private_key: {keys / file}"), QUIET)
    assert f"{tmp_path}/spec.yaml:7: signing.private_key: " in str(caught.value)
    assert why in str(caught.value)


def test_without_an_identity_nobody_signs_keyless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EnvironmentFailure) as caught:
        check_signer(_pipeline(tmp_path, "keyless: true"), QUIET)
    assert (
        "signing demo failed: no OpenID Connect identity was found here; run it in a CI job or pod that has one"
        " (GitHub Actions: `permissions: id-token: write`), or sign with a key"
    ) == str(caught.value)


def _pipeline(folder: Path, signing: str) -> Pipeline:
    path = folder / "spec.yaml"
    path.write_text(
        "apiVersion: shipfit/v1\nkind: Pipeline\nname: demo\nsource: bundled:gemma-3-270m\n"
        f"recipe: {{precision: bf16}}\ngate: {{dataset: [b.txt]}}\nsigning: {{{signing}}}\n"
    )
    return load(path, Pipeline)
