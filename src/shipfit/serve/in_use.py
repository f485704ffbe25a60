"""Which models the deployments of this machine serve now.

A release in a cluster pins its artifact in the store instead: who removes old ones need not reach the cluster.
"""

from __future__ import annotations

from shipfit.core.paths import state_dir
from shipfit.serve.folder import Folder


def served_revisions() -> dict[str, str]:
    """By revision (an artifact's fingerprint, where one is served), which deployment here runs it."""
    served = {}
    for path in sorted(state_dir("deployments").iterdir()):
        launch, status = Folder(path).launch(), Folder(path).status()
        if launch and status and status.supervisor.leader_lives():
            served[launch.revision] = f"deployment {launch.name} on this machine"
    return served
