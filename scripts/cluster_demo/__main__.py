"""The loop in a cluster, for real: quantize by KubeRay, gate, publish, deploy, ask, test.

    python -m scripts.cluster_demo [FILE]          by default deploy/test-cluster/gemma-3-270m.yaml
    python -m scripts.cluster_demo --down [FILE]   remove it, with its namespace

It leaves the deployment running. The cluster is the one that KUBECONFIG names, with the KubeRay operator; image.py says
how its nodes get the image. What is done already is not done again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.cluster_demo import image
from scripts.cluster_demo.place import Place, place_of
from scripts.cluster_demo.requantize import install, run_now
from shipfit.core.errors import EnvironmentFailure, ShipfitError
from shipfit.core.process import Process, describe_exit, last_words
from shipfit.core.progress import Progress, make_progress
from shipfit.serve.cluster import deploy
from shipfit.serve.cluster.propose import propose

_ROOT = Path(__file__).parents[2]
_FILE = _ROOT / "deploy" / "test-cluster" / "gemma-3-270m.yaml"
_TEST_S = 300.0


def main() -> int:
    """Run or remove the demonstration; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.cluster_demo", description=__doc__.splitlines()[0]
    )
    parser.add_argument("file", nargs="?", type=Path, default=_FILE, help="a deployment with a cluster")
    parser.add_argument("--down", action="store_true", help="remove it")
    options = parser.parse_args()
    progress = make_progress()
    try:
        place = place_of(options.file)
        if options.down:
            remove(place, progress)
        else:
            run(place, progress)
    except ShipfitError as error:
        sys.stderr.write(f"cluster-demo: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("cluster-demo: interrupted; the same command goes on from here\n")
        return 130
    return 0


def run(place: Place, progress: Progress) -> None:
    """Take every step, and say how to go on.

    Raises:
        ShipfitError: a step failed.
    """
    place.require_kuberay()
    place.create()
    image.bring(place, progress)
    place.start_store()
    install(place, progress)
    with progress.step("quantize, gate, publish"):
        made = run_now(place, progress)
    with place.stored(), progress.step("deploy"):
        proposal = propose(place.target.deployment, progress)
        if not proposal.unchanged:
            deploy.roll_out(proposal, progress)
        answers = deploy.prove(proposal, progress)
    with progress.step("helm test"):
        _test(place)
    spec = _seen_from_here(place)
    lines = {
        "made": made,
        "answers": answers,
        "status": f"shipfit status {spec}",
        "call it": f'eval "$(shipfit env {spec})"',
        "remove": "make cluster-demo-down",
    }
    for name, line in lines.items():
        sys.stdout.write(f"{name:10}{line}\n")


def remove(place: Place, progress: Progress) -> None:
    """Remove the deployment, then all the rest.

    Raises:
        ShipfitError: something does not end.
    """
    if not place.exists:
        progress.note(f"there is no namespace {place.namespace}")
        return
    with place.stored():
        deploy.take_down(place.target.deployment, progress)
    with progress.step(f"removing namespace {place.namespace}"):
        place.remove()


def _test(place: Place) -> None:
    """Run the tests that the chart brings.

    Raises:
        EnvironmentFailure: one failed.
    """
    target = place.target
    words = [
        "helm",
        "test",
        target.release,
        f"--namespace={place.namespace}",
        "--logs",
        f"--timeout={_TEST_S:.0f}s",
    ]
    with Process(words) as helm:
        if code := helm.wait(_TEST_S + 60):
            raise EnvironmentFailure(f"helm test {describe_exit(code)}: {last_words(helm.tail)}")


def _seen_from_here(place: Place) -> str:
    path = place.target.deployment.path
    assert path
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


if __name__ == "__main__":
    sys.exit(main())
