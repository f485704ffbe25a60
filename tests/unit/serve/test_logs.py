"""The lines are those that vLLM 0.32.0 and Envoy 1.40.0 print."""

from __future__ import annotations

from pathlib import Path

from shipfit.serve.folder import Figures
from shipfit.serve.logs import cause, last_line, plain, take_figures

CPU = """\
(Worker pid=7) INFO 11-23 23:40:37 [weight_utils.py:1108] Filesystem type for checkpoints: EXT4. Checkpoint size: 0.50 GiB. Available RAM: 21.02 GiB.
(Worker pid=7) INFO 11-23 23:40:43 [cpu_worker.py:260] Explicitly set (1.0/12.84) GiB for KV cache on node 0.
(EngineCore pid=6) INFO 11-23 23:40:43 [kv_cache_utils.py:2327] CPU KV cache size: 52,745 tokens, Maximum concurrency for 1,024 tokens per request: 51.51x
"""
GPU = """\
(Worker pid=7) INFO 11-23 23:40:37 [gpu_model_runner.py:5150] Model loading took 14.99 GiB memory and 3.1 seconds
(Worker pid=7) INFO 11-23 23:40:43 [gpu_worker.py:760] Available KV cache memory: 22.4 GiB
(EngineCore pid=6) INFO 11-23 23:40:43 [kv_cache_utils.py:2327] GPU KV cache size: 183,504 tokens, Maximum concurrency
"""
ROOT_CAUSE = """\
(EngineCore pid=6) ERROR 11-23 23:40:43 [core.py:1510] ValueError: Available memory on node 0 is less than requested
(APIServer pid=5) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
nanobind: leaked 514 functions!
"""


def figures(text: str) -> Figures:
    found = Figures()
    for line in text.splitlines():
        take_figures(line, found)
    return found


def test_memory_of_a_processor() -> None:
    assert Figures(checkpoint_gib=0.5, kv_cache_gib=1.0, kv_cache_tokens=52_745) == figures(CPU)


def test_memory_of_a_gpu() -> None:
    assert Figures(weights_gib=14.99, kv_cache_gib=22.4, kv_cache_tokens=183_504) == figures(GPU)


def test_the_cause_is_what_the_engine_said_of_this_start(tmp_path: Path) -> None:
    log = tmp_path / "replica-0.log"
    log.write_text("KeyError: 'of an earlier start'\n")
    offset = log.stat().st_size
    with log.open("a") as stream:
        stream.write(ROOT_CAUSE)
    assert "ValueError: Available memory on node 0 is less than requested" == cause(log, offset)


def test_the_cause_of_the_routers_end(tmp_path: Path) -> None:
    log = tmp_path / "router.log"
    log.write_text(
        "[2026-11-23 23:40:11.717][18799][critical][main] [source/server/server.cc:422] error initializing: "
        "cannot bind '127.0.0.1:8000': Address already in use\n"
        "[2026-11-23 23:40:11.717][18799][info][main] [source/server/server.cc:1028] exiting\n"
    )
    assert "error initializing: cannot bind '127.0.0.1:8000': Address already in use" == cause(log, 0)


def test_the_last_line_is_plain(tmp_path: Path) -> None:
    log = tmp_path / "replica-0.log"
    assert "" == last_line(log)
    log.write_text(GPU + "\n")
    assert "GPU KV cache size: 183,504 tokens, Maximum concurrency" == last_line(log)
    assert "Loading shards: 100%" == plain("Loading shards: 0%\rLoading shards: 100%")
    assert "Waiting for application startup." == plain("INFO:     Waiting for application startup.")
