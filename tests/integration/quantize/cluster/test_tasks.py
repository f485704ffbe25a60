"""Stages as tasks of real Rays: one of this machine alone, and clusters of several nodes."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from shipfit.artifacts import Staged
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import NoProgress
from shipfit.core.worker import WorkerError
from shipfit.quantize.cluster import cluster_at
from shipfit.quantize.cluster.transfer import FromStore, ToStore
from shipfit.quantize.stages import Needs, Stage
from tests.waiting import eventually

from .conftest import Heard, Nodes

pytestmark = pytest.mark.integration

Make = Callable[..., Stage]


def pids(started: Path) -> list[int]:
    return [int(line.split()[0]) for line in started.read_text().splitlines()] if started.exists() else []


def test_a_stage_on_this_machine_alone(make_stage: Make, tmp_path: Path, own_folders: Path) -> None:
    heard, started = Heard(), str(tmp_path / "started")
    with cluster_at(None, heard) as cluster:
        assert "1" == cluster.run(make_stage({"started": started}), heard)["threads"]
        assert "at work" in heard.said

        smaller = make_stage({"started": started, "batch": 8, "fail_above": 2})
        cluster.run(smaller, heard)
        assert "testing: out of memory; again with a batch of 2" in heard.said
        assert ["8", "4", "2"] == [line.split()[1] for line in Path(started).read_text().splitlines()[1:]]

        with pytest.raises(WorkerError, match="testing failed: the worker was killed by SIGKILL"):
            cluster.run(make_stage({"started": started, "kill": True}), heard)
        assert 5 == len(pids(Path(started)))  # not tried again

        with pytest.raises(EnvironmentFailure, match="testing needs 1 CPU and 1 GPU, and this machine has"):
            cluster.run(make_stage({"started": started}, needs=Needs(cpus=1, gpus=1)), heard)


def test_a_stage_outlives_the_process_of_ray_that_ran_it(
    make_stage: Make, tmp_path: Path, own_folders: Path
) -> None:
    started, hold = tmp_path / "started", tmp_path / "hold"
    hold.touch()
    heard = Heard()
    with cluster_at(None, heard) as cluster, ThreadPoolExecutor() as pool:
        future = pool.submit(cluster.run, make_stage({"started": str(started), "hold": str(hold)}), heard)
        eventually(lambda: pids(started), 120)
        (engine,) = pids(started)
        psutil.Process(engine).parent().kill()
        eventually(lambda: not psutil.pid_exists(engine), 30)
        eventually(lambda: len(pids(started)) == 2, 120)
        assert any("Ray's process that ran it was killed; try 2 of 4" in text for text in heard.said), (
            heard.said
        )
        hold.unlink()
        assert pids(started)[1] == future.result(60)["pid"]


def test_stages_wait_for_room_and_outlive_a_lost_node(
    nodes: Nodes, make_stage: Make, tmp_path: Path, own_folders: Path
) -> None:
    started, hold, output = tmp_path / "started", tmp_path / "hold", tmp_path / "artifact"
    hold.touch()
    heard = Heard()
    with cluster_at("auto", heard) as cluster, ThreadPoolExecutor() as pool:
        stage = make_stage({"started": str(started), "hold": str(hold), "output": str(output)}, output=output)
        future = pool.submit(cluster.run, stage, heard)
        eventually(
            lambda: any(text.startswith("waiting for 1 CPU; the largest node has") for text in heard.said),
            120,
        )
        first = nodes.add()
        eventually(lambda: pids(started), 120)

        (engine,) = pids(started)
        (output / "of the first try").touch()
        nodes.add()
        nodes.kill_raylet(first)
        eventually(lambda: not psutil.pid_exists(engine), 120)
        eventually(lambda: len(pids(started)) == 2, 120)
        assert any("try 2 of 4" in text for text in heard.said)
        hold.unlink()
        assert pids(started)[1] == future.result(60)["pid"]
        assert ["weights"] == [file.name for file in output.iterdir()]

        # Two at once where there is room for one: both get their turn.
        both = [pool.submit(cluster.run, make_stage({"started": str(started)}), heard) for _ in range(2)]
        assert 2 == len({each.result(60)["pid"] for each in both})

        hold.touch()
        cancelled = pool.submit(cluster.run, make_stage({"started": str(started), "hold": str(hold)}), heard)
        eventually(lambda: len(pids(started)) == 5, 120)
        cluster.cancel()
        with pytest.raises(KeyboardInterrupt):
            cancelled.result(30)
        eventually(lambda: not psutil.pid_exists(pids(started)[4]), 5)


def test_what_a_node_lacks_is_brought_there(
    nodes: Nodes, make_stage: Make, tmp_path: Path, own_folders: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give a node folders of its own: run it by sudo, or in a container")
    apart, bucket = tmp_path / "apart", tmp_path / "bucket"
    output, text = apart / "artifact", apart / "text"
    for folder in (apart, bucket):
        folder.mkdir()
    text.write_text("carried along")
    nodes.add(apart=apart)
    heard, kept = Heard(), ToStore(bucket.as_uri(), "demo", "0" * 64)
    with cluster_at("auto", heard) as cluster:
        stage = make_stage(
            {"started": str(tmp_path / "started"), "input": str(text), "output": str(output)},
            inputs={text: None},
            output=output,
            keeper=kept,
            log=apart / "stage.log",
        )
        result = cluster.run(stage, heard)
        assert "carried along" in heard.said
        assert ["weights"] == [file["path"] for file in result["kept"]["files"]]
        assert not output.exists()
        assert (apart / "stage.log").exists()
        (apart / "stage.log").write_text("of an earlier try")
        cluster.run(stage, heard)
        assert (apart / "stage.log").read_text() != "of an earlier try"

        # And what that node made is brought to this one.
        FromStore(bucket.as_uri(), Staged.model_validate(result["kept"])).bring(output, NoProgress())
        assert "whole" == (output / "weights").read_text()
