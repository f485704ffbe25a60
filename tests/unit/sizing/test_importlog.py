from __future__ import annotations

import pytest

from shipfit.core.errors import InputError
from shipfit.sizing.importlog import COLUMNS, StartupLog, log_row, log_settings, parse_log

CONFIG = (
    "(EngineCore pid=9) INFO 03-30 10:11:30 [core.py:107] Initializing a V1 LLM engine (v0.19.0) with config:"
    " model='org/model', speculative_config=None, tokenizer='org/model', dtype=torch.bfloat16, max_seq_len=8192,"
    " tensor_parallel_size=4, pipeline_parallel_size=1, data_parallel_size=1, quantization=None,"
    " enforce_eager=False, kv_cache_dtype=fp8, device_config=cuda, seed=0"
)
ARGUMENTS = (
    "(APIServer pid=7) INFO 03-30 10:11:12 [utils.py:233] non-default args: {'model_tag': 'org/model', 'model':"
    " 'org/model', 'max_model_len': 8192, 'tensor_parallel_size': 4, 'gpu_memory_utilization': 0.95,"
    " 'max_num_seqs': 256}"
)
SERVED = f"""\
(APIServer pid=7) INFO 03-30 10:11:12 [utils.py:299]   █▄█▀ █     █     █     █  version 0.19.0
{ARGUMENTS}
(APIServer pid=7) INFO 03-30 10:11:20 [scheduler.py:239] Chunked prefill is enabled with max_num_batched_tokens=8192.
{CONFIG}
(Worker_TP0 pid=20) INFO 03-30 10:12:00 [gpu_model_runner.py:4821] Model loading took 32.88 GiB memory and 21.1 seconds
(Worker_TP1 pid=21) INFO 03-30 10:12:00 [gpu_model_runner.py:4821] Model loading took 32.89 GiB memory and 21.2 seconds
(Worker_TP0 pid=20) INFO 03-30 10:12:31 [gpu_model_runner.py:5956] Estimated CUDA graph memory: 1.70 GiB total
(Worker_TP0 pid=20) INFO 03-30 10:12:31 [gpu_worker.py:436] Available KV cache memory: 38.17 GiB
(Worker_TP1 pid=21) INFO 03-30 10:12:31 [gpu_worker.py:436] Available KV cache memory: 38.10 GiB
(EngineCore pid=9) INFO 03-30 10:12:31 [kv_cache_utils.py:1319] GPU KV cache size: 500,288 tokens
(EngineCore pid=9) INFO 03-30 10:12:31 [kv_cache_utils.py:1324] Maximum concurrency for 8,192 tokens per request: 61.07x
Capturing CUDA graphs (mixed prefill-decode, PIECEWISE): 100%|##########| 51/51 [00:08<00:00,  6.21it/s]
(Worker_TP0 pid=20) INFO 03-30 10:12:50 [gpu_model_runner.py:5100] Graph capturing finished in 11 secs, took 1.66 GiB
(EngineCore pid=9) INFO 03-30 10:12:52 [core.py:283] init engine (profile, create kv cache, warmup model) took 51.02 s
(APIServer pid=7) INFO:     Application startup complete.
"""
USAGE = {
    "0.19": (
        "DEBUG 03-30 10:12:50 [gpu_worker.py:661] Free memory on device (78.68/79.19 GiB) on startup. Desired GPU"
        " memory utilization is (0.95, 75.23 GiB). Actual usage is 32.89 GiB for weight, 1.96 GiB for peak activation,"
        " 2.21 GiB for non-torch memory, and 1.66 GiB for CUDAGraph memory. Replace gpu_memory_utilization config"
    ),
    "0.11": (
        "DEBUG 10-02 08:00:00 [gpu_worker.py:290] Memory profiling takes 5.11 seconds. Total non KV cache memory:"
        " 37.06GiB; torch peak memory increase: 1.96GiB; non-torch forward increase memory: 2.21GiB; weights memory:"
        " 32.89GiB.\n(Worker) INFO Free memory on device cuda:0 (78.68/79.19 GiB) on startup"
    ),
    "0.8": (
        "INFO 05-01 08:00:00 [worker.py:287] the current vLLM instance can use total_gpu_memory (79.19GiB) x"
        " gpu_memory_utilization (0.95) = 75.23GiB\nINFO model weights take 32.89GiB; non_torch_memory takes 2.21GiB;"
        " PyTorch activation peak memory takes 1.96GiB; the rest of the memory reserved for KV Cache is 38.17GiB."
    ),
}


def parse(*lines: str) -> StartupLog:
    return parse_log("\n".join(lines))


class TestServed:
    def test_how_it_was_started(self) -> None:
        log = parse_log(SERVED)
        assert ("0.19.0", "V1", "org/model", "served") == (log.version, log.engine, log.model, log.outcome)
        settings = log_settings(log)
        assert (4, 1, 8192, 256, 8192) == (
            settings.tensor,
            settings.pipeline,
            settings.context,
            settings.max_num_seqs,
            settings.max_num_batched_tokens,
        )
        assert (0.95, "fp8", False, "0.19.0") == (
            settings.utilization,
            settings.kv_cache,
            settings.eager,
            settings.version,
        )

    def test_the_fullest_gpu_counts(self) -> None:
        figures = parse_log(SERVED).figures
        assert (32.89, 38.10) == (figures["weights_gib"], figures["kv_cache_gib"])
        assert (500288, 61.07, 8192) == (
            figures["kv_cache_tokens"],
            figures["max_concurrency"],
            figures["max_concurrency_ctx"],
        )
        assert (1.66, 1.70) == (figures["cuda_graph_gib"], figures["cuda_graph_estimate_gib"])

    def test_one_line_for_capacity_and_concurrency(self) -> None:
        line = (
            "INFO GPU KV cache size: 90,112 tokens, Maximum concurrency for 8,192 tokens per request: 11.00x"
        )
        log = parse("INFO vLLM server version 0.32.0, serving model org/model", line)
        assert ("0.32.0", 90112, 11.0) == (
            log.version,
            log.figures["kv_cache_tokens"],
            log.figures["max_concurrency"],
        )

    @pytest.mark.parametrize("release", USAGE)
    def test_what_profiling_says_in_each_release(self, release: str) -> None:
        figures = parse(SERVED, USAGE[release]).figures
        assert (1.96, 2.21, 79.19) == (
            figures["activation_gib"],
            figures["non_torch_gib"],
            figures["total_gib"],
        )

    def test_the_row_has_every_column_and_says_nothing_that_the_log_does_not(self) -> None:
        row = log_row(parse_log(SERVED), "H100-80GB", "vllm.log")
        assert list(COLUMNS) == list(row)
        assert ("org/model", "bfloat16", "4", "H100-80GB") == (
            row["model_id"],
            row["weight_dtype"],
            row["tensor_parallel_size"],
            row["gpu_model"],
        )
        assert ("32.89", "500288", "fp8", "served") == (
            row["weights_gib_per_gpu"],
            row["kv_cache_tokens"],
            row["kv_cache_dtype"],
            row["outcome"],
        )
        assert ("", "", "") == (row["quantization"], row["activation_peak_gib"], row["gpu_total_gib"])


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        (["ValueError: No available memory for the cache blocks. Try increasing"], "no_kv_room"),
        (
            ["ValueError: To serve at least one request with the models's max seq len (131072), (16.00 GiB KV cache is"
             " needed, which is larger than the available KV cache memory (9.05 GiB)."],
            "kv_too_small_for_max_model_len",
        ),
        (
            ["ValueError: Free memory on device cuda:1 (60.87/79.19 GiB) on startup is less than desired GPU memory"
             " utilization (0.95, 75.23 GiB)."],
            "startup_refused",
        ),
        (["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."], "oom_on_load"),
        (["Model loading took 15.0 GiB", "torch.OutOfMemoryError: CUDA out of memory."], "oom"),
        (
            ["GPU KV cache size: 1,000 tokens", "torch.OutOfMemoryError: CUDA out of memory."],
            "oom_after_kv_alloc",
        ),
        (
            ["GPU KV cache size: 1,000 tokens", "Capturing CUDA graphs: 10%", "CUDA out of memory."],
            "oom_cuda_graph_capture",
        ),
        (["pydantic_core.ValidationError: 1 validation error for ModelConfig"], "config_rejected"),
        (["RuntimeError: NIXL backend"], "failed_other"),
        (["Application startup complete.", "RuntimeError: later"], "served"),
        ([], None),
    ],
)  # fmt: skip
def test_how_it_ended(lines: list[str], outcome: str | None) -> None:
    assert outcome == parse(CONFIG, *lines).outcome


@pytest.mark.parametrize("text", ["", "# README\n\nInstall vLLM.\n", "INFO 10-02 some other server started"])
def test_what_is_no_start_up_log_is_said_in_one_line(text: str) -> None:
    with pytest.raises(
        InputError, match="is not a start-up log of vLLM: no line names its release"
    ) as caught:
        parse_log(text)
    assert "\n" not in str(caught.value)


def test_a_draft_model_is_told_apart_from_the_model() -> None:
    draft = "speculative_config=SpeculativeConfig(method='eagle', model='org/draft', num_spec_tokens=3)"
    config = CONFIG.replace("speculative_config=None", draft).replace("max_seq_len=8192, ", "")
    log = parse("INFO Using max model len 98304", "INFO Using max model len 262144", config)
    assert ("org/model", 98304, True) == (log.model, log_settings(log).context, log.speculative)
    assert log_row(log, "", "")["notes"] == "speculative decoding"
    assert not parse(CONFIG).speculative


@pytest.mark.parametrize("version", ["0.19.2rc1.dev8", "0.8.5.post1", "0.10.1.dev1", "0.32.0"])
def test_releases_between_releases(version: str) -> None:
    log = parse(
        CONFIG.replace("v0.19.0", f"v{version}+g4b7f5ea1a"), "INFO Loading model weights took 9.1948 GB"
    )
    assert (version, 9.1948) == (log.version, log.figures["weights_gib"])


def test_a_namespace_of_arguments() -> None:
    log = parse(
        "INFO [api_server.py:1043] vLLM API server version 0.8.5.post1",
        "INFO [api_server.py:1044] args: Namespace(host=None, model='org/model', max_model_len=4096,"
        " max_num_seqs=None, gpu_memory_utilization=0.9, enforce_eager=True)",
    )
    settings = log_settings(log)
    assert ("0.8.5.post1", 4096, None, 0.9, True) == (
        settings.version,
        settings.context,
        settings.max_num_seqs,
        settings.utilization,
        settings.eager,
    )
