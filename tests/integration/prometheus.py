"""A real Prometheus of this machine, which the cluster's pods reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.helm.charts import free_ports

Targets = list[dict[str, Any]]
"""What to scrape, as in Prometheus' own files: ``targets`` and ``labels`` of each."""


@contextmanager
def prometheus(folder: Path, targets: Callable[[], Targets]) -> Iterator[str]:
    """A Prometheus that scrapes every few seconds what there is by then; its URL as pods reach it.

    Skips the test where there is none, or nothing says how pods reach it.
    """
    address = os.environ.get("SHIPFIT_TEST_ADDRESS")
    if not address or shutil.which("prometheus") is None:
        pytest.skip(
            "have Prometheus (apt-get install prometheus), and KEDA in the cluster; SHIPFIT_TEST_ADDRESS is the address"
            " by which its pods reach this machine"
        )
    listed = folder / "targets.json"  # Debian's Prometheus does not ask Kubernetes
    config = folder / "prometheus.yaml"
    discovery = [{"files": [str(listed)], "refresh_interval": "5s"}]
    settings = {
        "global": {"scrape_interval": "5s", "scrape_timeout": "4s"},
        "scrape_configs": [{"job_name": "pods", "file_sd_configs": discovery}],
    }
    config.write_text(yaml.safe_dump(settings))
    (port,) = free_ports(1)
    words = [
        *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
        f"--web.listen-address={address}:{port}",
    ]
    stop = threading.Event()

    def follow() -> None:
        while True:
            listed.with_suffix(".new").write_text(json.dumps(targets()))
            listed.with_suffix(".new").replace(listed)
            if stop.wait(3):
                break

    following = threading.Thread(target=follow)
    with (folder / "prometheus.log").open("w") as log, subprocess.Popen(words, stderr=log) as running:
        following.start()
        try:
            yield f"http://{address}:{port}"
        finally:
            stop.set()
            following.join()
            running.terminate()
