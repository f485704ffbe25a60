"""The llm-compressor worker: every precision that engine.yaml names, on models of two layers, in one process."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.process import child_environment
from shipfit.environments import ensure
from shipfit.quantize.engines import INSIDE, engines

pytestmark = pytest.mark.integration

WORKER = Path(__file__).parents[4] / "pipelines" / "engines" / "llm-compressor" / "worker.py"

_CUSTOM = """
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.models.llama import modeling_llama
# The engine executes parts of the methods here, in need of what they name.
globals().update({name: each for name, each in vars(modeling_llama).items() if not name.startswith("__")})

class PickyConfig(LlamaConfig):
    model_type = "picky"

class PickyMLP(torch.nn.Module):
    # experts that the engine does not know as such, of which all tokens go to the first
    def __init__(self, config):
        super().__init__()
        self.experts = torch.nn.ModuleList([LlamaMLP(config), LlamaMLP(config)])
    def forward(self, hidden):
        chosen, out = torch.zeros(hidden.shape[:-1]), torch.zeros_like(hidden)
        for number, expert in enumerate(self.experts):
            out[chosen == number] = expert(hidden[chosen == number])
        return out

class PickyForCausalLM(LlamaForCausalLM):
    config_class = PickyConfig
    def __init__(self, config):
        super().__init__(config)
        self.model.layers[1].mlp = PickyMLP(config)

AutoConfig.register("picky", PickyConfig)
AutoModelForCausalLM.register(PickyConfig, PickyForCausalLM)
"""
"""A model of its own class, with a layer that no token reaches."""

_MODELS = """
import sys
from pathlib import Path
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

def tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={c: n for n, c in enumerate(["<s>", *alphabet])}, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")

shape = dict(
    vocab_size=264, hidden_size=256, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=64, max_position_embeddings=256, dtype=torch.bfloat16, bos_token_id=0,
    eos_token_id=1, pad_token_id=None,
)
folder = Path(sys.argv[1])
torch.manual_seed(0)
made = {
    "llama": LlamaForCausalLM(LlamaConfig(**shape)),
    "gemma": Gemma3ForCausalLM(Gemma3TextConfig(**shape, sliding_window=64)),
    "moe": Qwen3MoeForCausalLM(Qwen3MoeConfig(
        **shape, num_experts=4, num_experts_per_tok=1, moe_intermediate_size=64, decoder_sparse_step=1)),
    "odd": LlamaForCausalLM(LlamaConfig(**{**shape, "intermediate_size": 96})),
    "overflowing": LlamaForCausalLM(LlamaConfig(**shape)),
    "broken": LlamaForCausalLM(LlamaConfig(**shape)),
    "picky": PickyForCausalLM(PickyConfig(**shape)),
}
with torch.no_grad():
    made["overflowing"].model.layers[0].mlp.up_proj.weight.fill_(3e38)
    made["broken"].model.layers[1].mlp.down_proj.weight[3, 5] = float("nan")
for name, model in made.items():
    model.to(torch.bfloat16).save_pretrained(folder / name)
    tokenizer().save_pretrained(folder / name)
    (folder / name / "LICENSE").write_text("terms")
"""

_DRIVER = """
import json, runpy, sys
from pathlib import Path
import torch
sys.path[:0] = [str(Path(sys.argv[1]).parent)]
from shipfit_models import load_model
main = runpy.run_path(sys.argv[1])["main"]
answers = open(sys.argv[3], "w", buffering=1)
sys.stdout = sys.stderr
def logits(folder):
    with torch.inference_mode():
        return load_model(Path(folder))(torch.arange(1, 33)[None]).logits.float()

requests = json.loads(Path(sys.argv[2]).read_text())
# before any work: the engine changes how transformers loads models with experts, for the rest of the process
sources = {source: logits(source) for source in {request["source"] for request in requests}}
for request in requests:
    steps, answer = [], {"output": request["output"]}
    try:
        answer["result"] = main(request, lambda text, fraction: steps.append((text, fraction)))
        made, source = logits(request["output"]), sources[request["source"]]
        answer["finite"] = bool(made.isfinite().all())
        answer["likeness"] = torch.cosine_similarity(made.flatten(), source.flatten(), dim=0).item()
    except Exception as error:
        answer["error"] = [type(error).__name__, str(error)]
    answers.write(json.dumps({**answer, "steps": steps}) + "\\n")
"""

_ON_ANOTHER_DEVICE = """
import sys, torch
from compressed_tensors.offload import set_onload_device
sys.path.append(sys.argv[1])
from shipfit_checks import find_faults
model = torch.nn.Sequential(torch.nn.Linear(4, 4))
model[0].weight.data[1, 2] = torch.nan
set_onload_device(model, "meta")  # as with a GPU, a weight goes there whenever it is taken out; here it can't be read
faults = [(each["kind"], each["layer"]) for each in find_faults(model, {}, [])]
assert faults == [("not-finite", "0.weight")], faults
"""

DEFAULTS = {
    precision.value: {key: setting.default for key, setting in made.settings.items()}
    for precision, made in engines()["llm-compressor"].precisions.items()
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    run(_MODELS, folder)
    return folder


def run(script: str, *arguments: Path) -> None:
    """Run a script in the engine's environment."""
    python = ensure("llm-compressor").python
    done = subprocess.run(
        [python, "-c", _CUSTOM + script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment({"PYTHONPATH": str(INSIDE), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}),
    )
    assert done.returncode == 0, done.stderr[-3000:]


Answer = dict[str, Any]


class Asked:
    """Requests for one process of the engine, and its answers."""

    def __init__(self, models: Path, folder: Path) -> None:
        self.models, self.folder = models, folder
        self.requests: list[dict[str, Any]] = []
        text = " ".join(f"{number} bottles of beer on the wall." for number in range(400))
        (folder / "documents.jsonl").write_text(json.dumps({"text": text}) + "\n")

    def add(self, name: str, precision: str, *, model: str = "llama", **settings: Any) -> None:
        output = self.folder / name
        output.mkdir()
        recipe = {"precision": precision, "engine": "llm-compressor", **DEFAULTS[precision], **settings}
        self.requests.append(
            {
                "source": str(self.models / model),
                "output": str(output),
                "recipe": recipe,
                "documents": [{"path": str(self.folder / "documents.jsonl"), "weight": 1.0}],
                "samples": 6,
                "tokens": 64,
                "seed": 0,
                "batch": 4,
            }
        )

    def answers(self) -> dict[str, Answer]:
        asked, answered = self.folder / "requests.json", self.folder / "answers.jsonl"
        asked.write_text(json.dumps(self.requests))
        run(_DRIVER, WORKER, asked, answered)
        lines = map(json.loads, answered.read_text().splitlines())
        return {Path(answer["output"]).name: answer for answer in lines}


@pytest.fixture(scope="module")
def answers(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    asked = Asked(models, tmp_path_factory.mktemp("outputs"))
    for precision in DEFAULTS:
        asked.add(precision, precision)
    asked.add("asym", "gptq-w4a16", symmetric=False, group_size=64)
    asked.add("no-order", "gptq-w4a16", act_order=False, group_size=-1)
    asked.add("head", "gptq-w4a16", group_size=32, ignore=[])
    asked.add("smoothed", "int8-w8a8", model="gemma", smoothing=0.5, rounding="gptq")
    asked.add("unsmoothed", "int8-w8a8", model="gemma", smoothing=0, rounding="nearest")
    asked.add("w8-gptq", "int8-w8a16", rounding="gptq", group_size=128)
    asked.add("fp8-static", "fp8-w8a8", activation_scales="static")
    asked.add("moe", "gptq-w4a16", model="moe", group_size=32)
    asked.add("moe-awq", "awq-w4a16", model="moe", group_size=32)
    asked.add("odd", "gptq-w4a16", model="odd", group_size=64)
    asked.add("unknown", "mxfp4", ignore=["lm_heaad"])
    asked.add("nothing", "mxfp4", ignore=["Linear"])
    asked.add("overflowing", "gptq-w4a16", model="overflowing")
    asked.add("unrouted", "gptq-w4a16", model="picky")
    asked.add("broken", "mxfp4", model="broken")
    return asked.answers()


def config_of(answer: Answer) -> dict[str, Any]:
    """What the artifact says of its quantization."""
    config = json.loads((Path(answer["output"]) / "config.json").read_text())
    found: dict[str, Any] = config["quantization_config"]
    return found


def group_of(answer: Answer, part: str = "weights") -> dict[str, Any]:
    (group,) = config_of(answer)["config_groups"].values()
    found: dict[str, Any] = group[part]
    return found


SOUND = {
    # name: bits, type, strategy, group size, symmetric of the weights; bits and dynamic of the activations
    "gptq-w4a16": (4, "int", "group", 128, True, None),
    "awq-w4a16": (4, "int", "group", 128, False, None),
    "int8-w8a8": (8, "int", "channel", None, True, (8, True)),
    "int8-w8a16": (8, "int", "channel", None, True, None),
    "fp8-w8a8": (8, "float", "channel", None, True, (8, True)),
    "fp8-block": (8, "float", "block", None, True, (8, True)),
    "nvfp4": (4, "float", "tensor_group", 16, True, (4, "local")),
    "mxfp4": (4, "float", "group", 32, True, (4, True)),
    "asym": (4, "int", "group", 64, False, None),
    "no-order": (4, "int", "channel", None, True, None),
    "head": (4, "int", "group", 32, True, None),
    "smoothed": (8, "int", "channel", None, True, (8, True)),
    "unsmoothed": (8, "int", "channel", None, True, (8, True)),
    "w8-gptq": (8, "int", "group", 128, True, None),
    "fp8-static": (8, "float", "tensor", None, True, (8, False)),
    "moe": (4, "int", "group", 32, True, None),
    "moe-awq": (4, "int", "group", 32, False, None),
}


def test_every_precision_of_the_engine_is_tried() -> None:
    assert set(DEFAULTS) <= set(SOUND)


@pytest.mark.parametrize("name", SOUND)
def test_an_artifact_is_what_was_asked_for_and_gives_numbers(answers: dict[str, Answer], name: str) -> None:
    answer = answers[name]
    assert "error" not in answer, answer
    bits, kind, strategy, size, symmetric, activations = SOUND[name]
    weights, inputs = group_of(answer), group_of(answer, "input_activations")
    assert (bits, kind, strategy, symmetric) == tuple(
        weights[key] for key in ("num_bits", "type", "strategy", "symmetric")
    )
    assert size in (None, weights["group_size"])
    assert activations == (inputs and (inputs["num_bits"], inputs["dynamic"]))
    assert answer["result"]["faults"] == []
    assert answer["finite"]
    assert answer["likeness"] > 0.9


def test_text_is_read_only_where_it_is_needed(answers: dict[str, Answer]) -> None:
    read = {name: answers[name]["result"]["samples"] for name in SOUND}
    data_free = {"int8-w8a16", "fp8-w8a8", "fp8-block", "mxfp4", "unsmoothed"}
    assert {name: 0 if name in data_free else 6 for name in SOUND} == read
    assert answers["gptq-w4a16"]["result"]["tokens"] == 6 * 64


def test_what_is_quantized_is_counted(answers: dict[str, Answer]) -> None:
    # two layers of q, k, v, o, gate, up, down; with the head; with 4 experts in place of the MLP
    assert [14, 15, 2 * (4 + 4 * 3)] == [answers[n]["result"]["layers"] for n in ("mxfp4", "head", "moe")]
    assert ["lm_head"] == config_of(answers["mxfp4"])["ignore"]
    assert [] == config_of(answers["head"])["ignore"]


def test_act_order_is_taken_from_the_recipe(answers: dict[str, Answer]) -> None:
    assert [None, "static"] == [group_of(answers[name])["actorder"] for name in ("no-order", "gptq-w4a16")]


def test_progress_tells_of_layers_and_samples_and_never_goes_back(answers: dict[str, Answer]) -> None:
    for name in SOUND:
        steps = answers[name]["steps"]
        fractions = [fraction for _, fraction in steps]
        assert fractions == sorted(fractions), name
        assert steps[-1][0] == "saving", name
        assert fractions[-1] < 1, name
        assert sum(text.startswith("layer ") for text, _ in steps) >= 2, name
    assert "layer 2 of 2, sample 6 of 6" in [text for text, _ in answers["awq-w4a16"]["steps"]]


def test_all_that_is_no_weights_is_the_sources(answers: dict[str, Answer], models: Path) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "LICENSE"):
        made = Path(answers["mxfp4"]["output"]) / file
        assert (models / "llama" / file).read_bytes() == made.read_bytes()


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (
            "odd",
            "GroupSizeError",
            "model.layers.0.mlp.down_proj has 96 inputs, which groups of 64 do not divide (and 1 more)",
        ),
        ("unknown", "IgnoreError", "the model has no layer lm_heaad"),
        ("nothing", "IgnoreError", "no linear layer is left to be quantized"),
        ("broken", "NotFiniteError", "model.layers.1.mlp.down_proj.weight holds NaN or infinite values"),
    ],
)
def test_what_cannot_become_right_is_refused_before_any_work(
    answers: dict[str, Answer], name: str, kind: str, message: str
) -> None:
    assert [kind, message] == answers[name]["error"]
    assert not list(Path(answers[name]["output"]).iterdir())
    assert not any(text.startswith("layer ") for text, _ in answers[name]["steps"])


def test_a_layer_whose_hessian_has_no_inverse_is_told_of(answers: dict[str, Answer]) -> None:
    faults = answers["overflowing"]["result"]["faults"]
    assert ("rounded", "model.layers.0.mlp.down_proj") in {(each["kind"], each["layer"]) for each in faults}


def test_experts_that_no_token_reached_are_told_of_and_rounded(answers: dict[str, Answer]) -> None:
    answer = answers["unrouted"]
    faults = {(each["kind"], each["layer"]) for each in answer["result"]["faults"]}
    expected = {f"model.layers.1.mlp.experts.1.{part}_proj" for part in ("gate", "up", "down")}
    assert {("never-routed", layer) for layer in expected} == faults
    assert answer["finite"]


def test_faults_are_looked_for_where_the_weights_lie() -> None:
    run(_ON_ANOTHER_DEVICE, WORKER.parent)
