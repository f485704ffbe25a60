"""What the gate measured on the artifact that a deployment serves, where that can be read on this machine at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.paths import cache_dir
from shipfit.sizing import Quality
from shipfit.spec import Deployment

if TYPE_CHECKING:
    from shipfit.artifacts import Manifest, Store

_FIGURES = {
    "mean_kl": "mean KL divergence {:.3f} nats a token",
    "top1_agreement": "same most likely token {:.1%}",
    "perplexity_ratio": "perplexity x {:.3f}",
}


def gate_quality(deployment: Deployment) -> Quality:
    """The quality of the deployment's artifact, as its gate measured it.

    A store elsewhere is not asked: a plan waits for nobody. An artifact that was pulled once is read where it lies.

    Args:
        deployment: names an artifact.

    Raises:
        EnvironmentFailure: there is none that can be read on this machine; says why.
    """
    manifest = _stored(deployment) or _pulled(deployment)
    if manifest is None:
        store = f"{deployment.store} is not asked" if deployment.store else "the embedded store does not run"
        raise EnvironmentFailure(f"{deployment.artifact} was not pulled to this machine, and {store}")
    figures = manifest.gate.figures
    loss = ", ".join(text.format(figures[name]) for name, text in _FIGURES.items() if name in figures)
    return Quality(
        loss=loss or "every limit kept",
        measured=True,
        source=f"gate of {manifest.name}, {manifest.fingerprint[:12]}",
    )


def _stored(deployment: Deployment) -> Manifest | None:
    """The manifest that the channel points to, in a folder or the embedded store if it runs."""
    if deployment.store is None:
        from shipfit.artifacts import Store, running

        found = running.read()
        return _of_channel(Store(running.objects(found.ports)), deployment) if found and found.alive else None
    if not deployment.store.startswith("file:"):
        return None
    from shipfit.artifacts import open_store
    from shipfit.core.progress import NoProgress

    with open_store(deployment.store, NoProgress()) as store:
        return _of_channel(store, deployment)


def _of_channel(store: Store, deployment: Deployment) -> Manifest | None:
    name, channel = deployment.artifact_reference or ("", "")
    found = store.channel(name, channel)
    return store.manifest(name, found.fingerprint) if found else None


def _pulled(deployment: Deployment) -> Manifest | None:
    """The manifest of the copy that was pulled last."""
    name, _ = deployment.artifact_reference or ("", "")
    folders = sorted(cache_dir("artifacts", name).glob("*/"), key=lambda folder: folder.stat().st_mtime)
    if not folders:
        return None
    from shipfit.artifacts import pulled_manifest

    known = (pulled_manifest(folder) for folder in reversed(folders))
    return next((manifest for manifest in known if manifest), None)
