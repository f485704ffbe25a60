from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shipfit.serve.pod import router

SETTINGS: dict[str, Any] = {
    "port": 8080,
    "metrics": 9902,
    "models": [{"name": "llama-3.3-70b", "service": "chat-llama.llm.svc", "port": 8000}],
}


def write(folder: Path, settings: dict[str, Any], keys: str | None = None) -> Path:
    if keys is not None:
        (folder / "api-key").write_text(keys)
        settings = {**settings, "keys": str(folder / "api-key")}
    file = folder / "settings.json"
    file.write_text(json.dumps(settings))
    return file


def run(file: Path) -> tuple[int, Path]:
    to = file.parent / "envoy.json"
    return router.main(["--settings", str(file), "--to", str(to)]), to


def test_each_line_of_the_secret_is_a_key_and_the_file_is_private(tmp_path: Path) -> None:
    code, to = run(write(tmp_path, SETTINGS, "sk-old\nsk-new\n"))
    assert 0 == code
    assert 0o600 == to.stat().st_mode & 0o777
    config = to.read_text()
    assert '"Bearer sk-old"' in config
    assert '"Bearer sk-new"' in config
    listeners = json.loads(config)["static_resources"]["listeners"]
    addresses = [each["address"]["socket_address"] for each in listeners]
    assert [("0.0.0.0", 8080), ("0.0.0.0", 9902)] == [
        (each["address"], each["port_value"]) for each in addresses
    ]


def test_without_a_secret_nobody_is_asked_for_a_key(tmp_path: Path) -> None:
    _, to = run(write(tmp_path, SETTINGS))
    assert "Bearer" not in to.read_text().replace("Bearer KEY", "")


def test_a_canary_and_the_time_to_wait_are_of_a_model(tmp_path: Path) -> None:
    more = {"canary": {"service": "chat-llama-canary.llm.svc", "percent": 10}, "wait": 600, "wakes": True}
    _, to = run(write(tmp_path, SETTINGS | {"models": [SETTINGS["models"][0] | more]}))
    clusters = {each["name"] for each in json.loads(to.read_text())["static_resources"]["clusters"]}
    assert {"chat-llama", "chat-llama-canary", "chat-llama-canary-first", "chat-llama-gate"} <= clusters


@pytest.mark.parametrize(
    ("resolver", "host"),
    [
        (
            "search llm.svc.corp.example svc.corp.example corp.example\nnameserver 10.96.0.10\n",
            "chat-llama.llm.svc.corp.example.",
        ),
        ("nameserver 127.0.0.53\nsearch example.org\n", "chat-llama.llm.svc"),
        ("", "chat-llama.llm.svc"),
    ],
)
def test_a_service_is_asked_for_by_its_whole_name(
    resolver: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "resolv.conf").write_text(resolver)
    monkeypatch.setattr(router, "_RESOLVER", tmp_path / "resolv.conf")
    _, to = run(write(tmp_path, SETTINGS))
    assert f'"address": "{host}"' in to.read_text()


@pytest.mark.parametrize(
    ("change", "keys", "reason"),
    [
        ({"metrcs": 1}, "k", "metrcs: Extra inputs are not permitted"),
        ({"models": []}, "k", "models: "),
        ({"port": "many"}, "k", "port: "),
        (
            {"models": [SETTINGS["models"][0] | {"canary": {"service": "x", "percent": 100}}]},
            "k",
            "models.0.canary.percent: ",
        ),
        ({}, " \n", "api-key: holds no key"),
        ({"keys": "/nowhere/api-key"}, None, "/nowhere/api-key: there is no such file; check router.apiKey"),
    ],
)
def test_what_is_wrong_is_one_line(
    change: dict[str, Any],
    keys: str | None,
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, to = run(write(tmp_path, {**SETTINGS, **change}, keys))
    said = capsys.readouterr().err
    assert 2 == code
    assert said.startswith("router: ")
    assert reason in said
    assert 1 == said.count("\n")
    assert not to.exists()
