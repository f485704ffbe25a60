"""A deployment of two real vLLM replicas and Envoy, of a tiny model: answers, guards, survives, ends."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import httpx
import openai
import psutil
import pytest

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.process import Process, python_module
from shipfit.core.progress import NoProgress
from shipfit.serve.local import Running, down, running, status, up
from shipfit.serve.measured import measured_memory
from shipfit.serve.pod import check
from shipfit.serve.sessions import Session
from shipfit.spec import Deployment, load
from tests.waiting import eventually

pytestmark = pytest.mark.integration

CHAT = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write(folder: Path, model: Path, *, name: str = "tiny", port: int, replicas: int = 2) -> Path:
    (folder / "chat.jinja").write_text(CHAT)
    file = folder / f"{name}.yaml"
    file.write_text(
        dedent(f"""\
        apiVersion: shipfit/v1
        kind: Deployment
        name: {name}
        model: {model}
        hardware: [{{gpu: cpu, count: {replicas}}}]
        precision: fp16 # in bf16, vLLM 0.32 dies at the first request where the processor has AMX
        promise: {{context: 512, concurrency: 8}}
        replicas: {replicas}
        router: {{port: {port}}}
        chat_template: chat.jinja
        """)
    )
    return file


def pids() -> dict[str, int]:
    return {each.name: each.pid for each in status("tiny").processes if each.pid}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHIPFIT_STATE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def deployment(state: Path, tiny_model: Path) -> Deployment:
    return load(write(state, tiny_model, port=free_port()), Deployment)


@pytest.fixture(scope="module")
def served(deployment: Deployment) -> Iterator[Running]:
    try:
        yield up(deployment, NoProgress(), attached=True)
    finally:
        down("tiny", NoProgress())


@pytest.fixture
def client(served: Running) -> Iterator[openai.OpenAI]:
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0, http_client=http
    ) as client:
        yield client


def test_completions_and_chat_are_streamed(client: openai.OpenAI) -> None:
    usage = {"include_usage": True}
    plain = client.completions.create(
        model="tiny", prompt="a", max_tokens=8, stream=True, stream_options=usage
    )
    *texts, last = list(plain)
    assert len(texts) > 1  # not always one a token: vLLM joins those that a busy client has not read yet
    assert last.usage
    assert 8 == last.usage.completion_tokens
    chat = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "a"}], max_tokens=8, stream=True
    )
    assert "length" == [event.choices[0].finish_reason for event in chat][-1]


def test_only_with_the_key_and_only_the_public_paths(served: Running) -> None:
    address = served.base_url.removesuffix("/v1")
    key = {"Authorization": f"Bearer {served.api_key}"}
    with httpx.Client(base_url=address, trust_env=False) as http:
        assert 200 == http.get("/health").status_code
        for wrong in ({}, {"Authorization": "Bearer sk-other"}):
            refused = http.post("/v1/completions", json={"model": "tiny", "prompt": "a"}, headers=wrong)
            assert (401, "invalid_api_key") == (refused.status_code, refused.json()["error"]["code"])
        for path in ("/metrics", "/version", "/docs", "/stats", "/v1/../metrics"):
            assert 404 == http.get(path, headers=key).status_code, path
        for path in (
            "/tokenize",
            "/v1/load_lora_adapter",
            "/v1/embeddings",
            "/v1/models",
            "/drain_listeners",
        ):
            closed = http.post(path, json={}, headers=key)
            assert (404, "unknown_url") == (closed.status_code, closed.json()["error"]["code"]), path
        unknown = http.post("/v1/completions", json={"model": "other", "prompt": "a"}, headers=key)
        assert (404, "NotFoundError") == (unknown.status_code, unknown.json()["error"]["type"])


def test_the_key_is_in_no_argument_and_its_files_are_private(served: Running, state: Path) -> None:
    supervisor = status("tiny").supervisor
    for process in psutil.Process(supervisor).children(recursive=True):
        assert served.api_key not in " ".join(process.cmdline())
    key = served.api_key.encode()
    holders = [path for path in state.rglob("*") if path.is_file() and key in path.read_bytes()]
    assert {"api-key", "router.json"} == {path.name for path in holders}
    assert all(0o600 == path.stat().st_mode & 0o777 for path in holders)


def test_a_check_tells_how_quick_it_is_and_judges_it(
    served: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", served.api_key)
    words = ["--url", served.base_url, "--requests", "3"]
    assert 0 == check.main([*words, "--model", served.model_name, "--ttft-ms", "60000"])
    assert "3 answers; 95th percentile: first token " in capsys.readouterr().out
    assert 1 == check.main([*words, "--model", served.model_name, "--tpot-ms", "0.001"])
    assert "too slow: each further token" in capsys.readouterr().err
    assert 1 == check.main([*words, "--model", "other"])
    assert "answers 404: The model `other` does not exist" in capsys.readouterr().err
    monkeypatch.delenv("OPENAI_API_KEY")
    assert 1 == check.main([*words, "--model", served.model_name])
    assert "answers 401: the API key is missing" in capsys.readouterr().err
    assert 3 == check.main(["--url", f"http://127.0.0.1:{free_port()}/v1", "--model", "tiny"])
    assert "does not answer" in capsys.readouterr().err


def test_up_again_leaves_it_and_another_spec_is_refused(
    served: Running, deployment: Deployment, state: Path
) -> None:
    before = pids()
    assert served == up(deployment, NoProgress(), attached=False)
    assert before == pids()
    assert deployment.path is not None
    other = state / "other.yaml"
    other.write_text(deployment.path.read_text().replace("context: 512", "context: 256"))
    with pytest.raises(
        InputError, match=r"runs already with context 512, now 256; run `shipfit down .*first"
    ):
        up(load(other, Deployment), NoProgress(), attached=False)


def test_status_and_memory_are_those_of_the_processes(served: Running) -> None:
    now = status("tiny")
    assert "ready" == now.state
    assert ["router", "replica-0", "replica-1"] == [each.name for each in now.processes]
    assert all(each.state == "ready" and each.log.stat().st_size for each in now.processes)
    memory = measured_memory("tiny")
    assert 2 == len(memory)
    for each in memory:
        assert each.kv_cache_gib == served.plan.kv_cache_gib
        assert each.kv_cache_tokens == served.plan.memory.kv_cache_tokens
        assert 0.5 < each.resident_gib < 6


def test_a_killed_replica_loses_no_request_and_comes_back(client: openai.OpenAI) -> None:
    first = next(each for each in status("tiny").processes if each.name == "replica-0")
    assert first.pid is not None
    session = Session.of(first.pid)
    assert session is not None

    def ask(number: int) -> str | None:
        answer = client.completions.create(
            model="tiny", prompt=f"{number}", max_tokens=200, extra_body={"ignore_eos": True}
        )
        return answer.choices[0].finish_reason

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, number) for number in range(24)]
        time.sleep(0.3)
        os.kill(first.pid, signal.SIGKILL)
        assert ["length"] * 24 == [answer.result() for answer in answers]
    eventually(lambda: not session.members(), 10)
    eventually(lambda: status("tiny").state == "degraded", 10)
    eventually(lambda: status("tiny").state == "ready", 90)
    assert [0, 1, 0] == [each.restarts for each in status("tiny").processes]


def test_a_killed_router_comes_back(client: openai.OpenAI) -> None:
    os.kill(pids()["router"], signal.SIGKILL)
    eventually(lambda: status("tiny").processes[0].restarts == 1, 10)
    eventually(lambda: status("tiny").state == "ready", 10)
    eventually(lambda: "tiny" == client.models.list().data[0].id, 5)


def test_a_killed_supervisor_takes_everything_along(served: Running) -> None:
    now = status("tiny")
    sessions = [Session.of(pid) for pid in pids().values()]
    assert now.supervisor is not None
    os.kill(now.supervisor, signal.SIGKILL)
    eventually(lambda: status("tiny").state == "died", 5)
    assert running("tiny") is None
    down("tiny", NoProgress())
    assert [] == [process for session in sessions if session for process in session.members()]


def test_ctrl_c_of_follow_finishes_what_is_in_flight_and_leaves_nothing(
    state: Path, tiny_model: Path
) -> None:
    file = write(state, tiny_model, name="followed", port=free_port(), replicas=1)
    with Process(python_module("shipfit", "up", str(file), "--follow"), env={**os.environ}) as command:
        while not any("answers at" in line for line in command.tail):
            assert command.returncode is None, command.tail
            time.sleep(0.2)
        found = running("followed")
        assert found
        sessions = [Session.of(each.pid) for each in status("followed").processes if each.pid]
        http = openai.DefaultHttpxClient(trust_env=False)
        with openai.OpenAI(base_url=found.base_url, api_key=found.api_key, http_client=http) as client:
            stream = client.completions.create(
                model="followed", prompt="a", max_tokens=500, stream=True, extra_body={"ignore_eos": True}
            )
            reasons = [next(stream).choices[0].finish_reason]
            os.kill(command.pid, signal.SIGINT)
            reasons += [event.choices[0].finish_reason for event in stream]
        assert "length" == reasons[-1]
        assert 0 == command.wait(60)
    assert "stopped" == status("followed").state
    assert [] == [process for session in sessions if session for process in session.members()]


def test_a_replica_that_cannot_start_is_one_line(state: Path, tiny_model: Path) -> None:
    broken = state / "broken"
    broken.mkdir()
    for file in tiny_model.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    config = broken / "tokenizer.json"
    config.write_text(config.read_text()[:1000])
    deployment = load(write(state, broken, name="broken", port=free_port(), replicas=1), Deployment)
    with pytest.raises(EnvironmentFailure, match=r"replica-0 ended with code 1: .*Error") as caught:
        up(deployment, NoProgress(), attached=True)
    assert caught.value.log == state / "deployments" / "broken" / "logs" / "replica-0.log"
    assert [] == status("broken").processes


def test_a_taken_port_is_one_line_before_anything_starts(state: Path, tiny_model: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        deployment = load(write(state, tiny_model, name="taken", port=port), Deployment)
        with pytest.raises(EnvironmentFailure, match=f"port {port} is taken by another program"):
            up(deployment, NoProgress(), attached=True)
    assert "stopped" == status("taken").state
