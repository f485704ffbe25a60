from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from shipfit.cli import main
from shipfit.sizing.importlog import COLUMNS

LOG = """\
(APIServer pid=7) INFO 03-30 10:11:12 [utils.py:233] non-default args: {'model': 'MODEL', 'gpu_memory_utilization': 0.95}
(EngineCore pid=9) INFO 03-30 10:11:30 [core.py:107] Initializing a V1 LLM engine (v0.19.0) with config: model='MODEL', \
dtype=torch.bfloat16, max_seq_len=8192, tensor_parallel_size=2, pipeline_parallel_size=1, quantization=None, \
enforce_eager=False, kv_cache_dtype=auto
(Worker_TP0 pid=20) INFO 03-30 10:12:00 [gpu_model_runner.py:4821] Model loading took 7.51 GiB memory and 21.1 seconds
(Worker_TP0 pid=20) INFO 03-30 10:12:31 [gpu_worker.py:436] Available KV cache memory: 63.50 GiB
(EngineCore pid=9) INFO 03-30 10:12:31 [kv_cache_utils.py:1319] GPU KV cache size: 1,040,384 tokens
(APIServer pid=7) INFO:     Application startup complete.
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of a start-up."""
    file = tmp_path / "vllm.log"
    file.write_text(LOG.replace("MODEL", "meta-llama/Llama-3.1-8B"))
    return file


def test_prediction_beside_measurement(log: Path, capsys) -> None:
    assert main.run(["import-log", str(log), "--gpu", "H100-80GB", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert ("bf16", "H100-SXM5-80GB", "0.19.0", "served", True) == tuple(
        facts[key] for key in ("precision", "gpu", "version", "outcome", "predicted_fits")
    )
    weights = next(each for each in facts["quantities"] if each["quantity"] == "weights")
    assert weights["measured"] == 7.51
    assert abs(weights["error"]) < 0.01
    assert list(COLUMNS) == list(facts["row"])


def test_the_row_to_contribute_is_csv(log: Path, capsys) -> None:
    assert main.run(["import-log", str(log), "--gpu", "H100-80GB"]) == 0
    text = capsys.readouterr().out
    (row,) = csv.DictReader(text.partition("The row to contribute:\n")[2].splitlines())
    assert ("meta-llama/Llama-3.1-8B", "H100-80GB", "7.51", "1040384") == (
        row["model_id"],
        row["gpu_model"],
        row["weights_gib_per_gpu"],
        row["kv_cache_tokens"],
    )


@pytest.mark.parametrize(
    ("change", "flags", "words"),
    [
        (("Llama-3.1-8B", "Llama-3.1-8B"), [], "does not say how much memory the GPU has; name it by --gpu"),
        (("'MODEL'", "None"), ["--gpu", "H100"], "does not name the model; name it by --model"),
        (("quantization=None", "quantization=awq"), ["--gpu", "H100"], "is quantized by awq, and its configuration"),
        (("Llama-3.1-8B", "Llama-3.1-8B"), ["--gpu", "H99"], "--gpu: no GPU is called 'H99'"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_in_one_line(
    change, flags: list[str], words: str, tmp_path: Path, capsys
) -> None:
    file = tmp_path / "vllm.log"
    file.write_text(LOG.replace(*change).replace("MODEL", "meta-llama/Llama-3.1-8B"))
    assert main.run(["import-log", str(file), *flags]) == 2
    line = capsys.readouterr().err
    assert words in line
    assert line.count("\n") == 1


def test_what_is_no_log_is_said_in_one_line(tmp_path: Path, capsys) -> None:
    (tmp_path / "notes.txt").write_text("nothing of the kind")
    assert main.run(["import-log", str(tmp_path / "notes.txt")]) == 2
    assert f"{tmp_path}/notes.txt: is not a start-up log of vLLM" in capsys.readouterr().err
    assert main.run(["import-log", str(tmp_path / "none.log")]) == 2
    assert "none.log: cannot be read: No such file" in capsys.readouterr().err


NAMED = LOG.replace("MODEL", "meta-llama/Llama-3.1-8B")


@pytest.mark.parametrize(
    "data",
    [
        NAMED.replace("\n", "\r\n").encode(),
        NAMED.encode("utf-16"),
        NAMED.replace("INFO", "\x1b[32mINFO\x1b[0m").replace("7.51", "\x1b[1m7.51\x1b[0m").encode(),
        "".join(f"Mar 30 10:12:00 host vllm[7]: {line}\n" for line in NAMED.splitlines()).encode(),
        "".join(json.dumps({"log": line + "\n"}) + "\n" for line in NAMED.splitlines()).encode(),
    ],
    ids=["windows", "powershell", "colours", "journald", "docker"],
)
def test_whatever_a_log_went_through_it_says_the_same(data: bytes, log: Path, capsys) -> None:
    def row() -> dict[str, str]:
        assert main.run(["import-log", str(log), "--gpu", "H100-80GB", "--json"]) == 0
        return {**json.loads(capsys.readouterr().out)["row"], "outcome_detail": ""}

    plain = row()
    log.write_bytes(data)
    assert plain == row()


@pytest.mark.parametrize(
    "change", [("size=2", "size=-2"), ("size=2", "size=0"), ("0.95", "nan"), ("8192", "inf")]
)
def test_settings_that_cannot_be_are_left_to_vllm(change: tuple[str, str], log: Path, capsys) -> None:
    log.write_text(log.read_text().replace(*change))
    assert main.run(["import-log", str(log), "--gpu", "H100-80GB"]) == 0
    assert "predicted" in capsys.readouterr().out
