"""Every flag that shipfit may pass exists in the pinned vLLM's own parser."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core import process
from shipfit.environments import Environment
from shipfit.serve.arguments import Served, replica_commands
from shipfit.sizing import Memory, Plan
from shipfit.spec.precision import Precision

pytestmark = pytest.mark.integration

PARSE = """
import sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(sys.argv[1:])
print(arguments.served_model_name, arguments.uds, arguments.shutdown_timeout)
"""


def plan(gpu: str) -> Plan:
    cpu = gpu == "cpu"
    return Plan(
        apiVersion="shipfit/v1",
        name="any",
        model="any/model",
        precision=Precision.FP8_W8A8,
        gpu=gpu,
        tensor_parallel=1 if cpu else 2,
        pipeline_parallel=1 if cpu else 2,
        replicas=1,
        cores=1 if cpu else None,
        max_model_len=512,
        max_num_seqs=4,
        kv_cache_dtype="auto" if cpu else "fp8",
        gpu_memory_utilization=None if cpu else 0.9,
        kv_cache_gib=1 if cpu else None,
        memory=Memory(
            weights_gib=1,
            activation_gib=0,
            cuda_graph_gib=0,
            non_torch_gib=1,
            kv_cache_gib=1,
            kv_cache_tokens=1000,
            max_concurrency=2,
        ),
        reasons=[],
        rejected=[],
    )


@pytest.mark.parametrize(("gpu", "precision"), [("cpu", Precision.BF16), ("L40S", Precision.FP8_W8A8)])
def test_vllm_knows_every_flag(
    gpu: str, precision: Precision, vllm: Environment, tiny_model: Path, tmp_path: Path
) -> None:
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages }}")
    served = Served(tiny_model, "name", quantized=False, chat_template=template)
    planned = plan(gpu).model_copy(update={"precision": precision})
    (command,) = replica_commands(planned, served, ["replica-0.sock"], [0])
    words = process.run(
        [vllm.python, "-W", "ignore", "-c", PARSE, *command.words[2:]],
        doing="parsing",
        env=process.child_environment(command.env),
        timeout=120,
    )
    assert words[-1] == "['name'] replica-0.sock 20"
