"""The benchmark of the sizing model: its scores on rows made up for the purpose, and the goals on the real ones."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.sizing import goals, scores, tables
from benchmarks.sizing.memory import Scored, score_memory
from benchmarks.sizing.plots import scatter
from benchmarks.sizing.rows import Row, read_rows
from benchmarks.sizing.scores import Figure, Label, Timed, Verdict
from benchmarks.sizing.speed import read_runs, score_speed
from benchmarks.sizing.subjects import memory_subject
from shipfit.sizing import Speed

ROWS = Path(__file__).parents[3] / "benchmarks" / "ground_truth"

MEMORY = {
    "row_id": "1",
    "model_id": "Qwen/Qwen3-8B",
    "tensor_parallel_size": "1",
    "gpu_model": "H100-80GB",
    "vllm_version": "0.19.0",
    "outcome": "served",
}
SPEED = {
    "row_id": "1",
    "model_id": "Qwen/Qwen3-8B",
    "engine": "vllm",
    "engine_version": "0.19.0",
    "gpu": "h100_sxm",
    "tp": "1",
    "input_len": "1024",
    "output_len": "128",
    "concurrency_or_batch": "4",
    "ttft_ms": "100",
    "tpot_ms": "10",
}


def label(number: str = "1", gpu: str = "L4", engine: str = "vllm") -> Label:
    return Label("memory", number, "m", "Llama", gpu, "TP 1", "bf16", "0.19.0", engine)


def figure(predicted: float, measured: float, *assumed: str, quantity: str = "weights") -> Figure:
    return Figure(label(), quantity, predicted, measured, assumed)


def timed(predicted_s: float, measured_s: float, gpu: str = "L4", workload: str = "w") -> Timed:
    return Timed(label(gpu=gpu), (workload,), predicted_s, measured_s)


def test_errors_are_relative_to_what_was_measured():
    figures = [figure(11, 10), figure(8, 10), figure(10, 10)]
    assert pytest.approx(0.1) == scores.mean_error(figures)
    assert pytest.approx(0.1) == scores.median_error(figures)
    assert pytest.approx(0.0) == scores.bias(figures)
    assert pytest.approx(2 / 3) == scores.share_within(figures, 0.15)


def test_without_figures_there_is_no_error():
    assert scores.mean_error([]) is None
    assert scores.median_error([]) is None
    assert scores.share_within([], 0.3) is None


def test_figures_that_depend_on_what_a_row_leaves_open_are_not_counted():
    known, open_one = figure(1, 1), figure(2, 1, "release")
    assert [known] == scores.counted([known, open_one, figure(1, 1, quantity="TPOT")], "weights")


def test_verdicts_are_wrong_in_two_ways():
    right = Verdict(label("1"), fits=True, served=True, outcome="served", reason="")
    missed = Verdict(label("2"), fits=True, served=False, outcome="oom", reason="")
    refused = Verdict(label("3"), fits=False, served=True, outcome="served", reason="")
    assert [missed] == scores.wrong_fits([right, missed, refused])
    assert [refused] == scores.wrong_refusals([right, missed, refused])


def test_pairs_share_a_workload_and_differ_in_configuration_and_time():
    slow, fast = timed(3, 2.0), timed(2, 1.0, gpu="H100")
    near, again, other = timed(2, 1.05, gpu="A100"), timed(3, 4.0), timed(1, 9.0, gpu="H100", workload="v")
    assert [(fast, slow)] == scores.pairs([slow, fast])
    assert [] == scores.pairs([fast, near])  # 5% apart
    assert [] == scores.pairs([slow, again])  # the same configuration twice
    assert [] == scores.pairs([slow, other])  # another workload


def test_a_tie_is_a_wrong_order():
    right, tie = (timed(1, 1), timed(2, 2)), (timed(2, 1), timed(2, 2))
    assert 0.5 == scores.rightly_ordered([right, tie])
    assert scores.rightly_ordered([]) is None


def test_goals_say_whether_they_are_met():
    served = Verdict(label(), fits=True, served=True, outcome="served", reason="")
    scored = Scored([figure(1.001, 1), figure(2, 1, quantity="KV tokens")], [served])
    found = {each.quantity: (each.reached, each.met) for each in goals.memory_goals(scored)}
    assert ("0.10%", True) == found["weights per GPU"]
    assert ("100.00%", False) == found["KV tokens"]
    assert ("-", None) == found["KV cache memory, settings known"]
    assert ("0.0% (0 of 1)", True) == found["“does not fit” for what was served"]


def test_a_row_that_cannot_be_predicted_is_named_with_the_reason():
    row = Row({"row_id": "7", "outcome": "served", "model_id": "nobody/nothing", "tensor_parallel_size": "1"})
    scored = score_memory([row])
    assert [(row, "unknown model: nobody/nothing")] == scored.unscored
    assert "unknown model: nobody/nothing | 7" in tables.unscored(scored.unscored)


def test_a_row_that_misquotes_its_utilization_is_sized_with_what_its_figures_add_up_to():
    row = Row(
        MEMORY
        | {"gpu_memory_utilization": "0.9", "weights_gib_per_gpu": "15.27", "activation_peak_gib": "2.2"}
        | {"non_torch_gib": "0.2", "gpu_total_gib": "79.18", "kv_cache_gib_per_gpu": "57.5"}
    )
    subject = memory_subject(row)
    assert pytest.approx(75.17 / 79.18) == subject.settings.utilization
    assert ("utilization",) == subject.assumed


def test_predictions_of_others_can_take_the_place_of_shipfits_own():
    rows = [Row(SPEED | {"row_id": "1"}), Row(SPEED | {"row_id": "2"})]
    theirs = {"1": Speed(ttft_s=0.2, tpot_s=0.01, tokens_per_s=0, in_flight=0, overloaded=False)}
    alone, with_the_rest = score_speed(rows, theirs), score_speed(rows, theirs, rest=True)
    assert [("1", "TTFT", 1.0), ("1", "TPOT", 0.0)] == [
        (each.label.number, each.quantity, pytest.approx(each.error)) for each in alone.figures
    ]
    assert ["1", "1", "2", "2"] == [each.label.number for each in with_the_rest.figures]


def test_a_benchmark_that_sends_all_at_once_is_not_counted():
    note = "requests 100, input tokens 102400, generated 12800, duration 9 s, peak concurrent 100.00"
    row = Row(SPEED | {"input_len": "", "output_len": "", "concurrency_or_batch": "", "metric_note": note})
    [run], [] = read_runs([row])
    assert (100, 1024, 128, True) == (run.concurrency, run.tokens_in, run.tokens_out, run.burst)
    assert [] == scores.counted(score_speed([row]).figures, "TPOT")


def test_a_plot_is_small_and_says_what_it_shows():
    text = scatter("TPOT", "ms", [figure(value * 1.1, value) for value in range(1, 1000)], 0.3)
    names = [element.tag.rpartition("}")[2] for element in ET.fromstring(text)]  # noqa: S314 - our own
    assert ["title", "desc", "style"] == names[:3]
    assert "999 rows, 999 of them within 30%" in text
    assert len(text) < 60_000


def test_the_memory_goals_are_met_on_the_measured_rows():
    scored = score_memory(read_rows(ROWS / "vllm_memory.csv"))
    assert [] == [each for each in goals.memory_goals(scored) if not each.met]
