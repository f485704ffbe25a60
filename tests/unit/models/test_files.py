"""Object stores over plain HTTP, for whoever names such an address: asked of a real server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from shipfit.core.errors import EnvironmentFailure
from shipfit.models.files import StoreFiles


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: pytest shows what is written."""


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that has no file at all; nothing of this machine says where S3 is."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=tmp_path)) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT"])
def test_s3_at_a_plain_http_endpoint_is_asked(
    endpoint: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, endpoint)
    files = StoreFiles("s3://bucket/model")
    assert files.whole("config.json") is None  # the server's own answer
    assert files.size("config.json") is None


def test_a_plain_http_address_is_asked(endpoint: str) -> None:
    assert StoreFiles(f"{endpoint}/model").whole("config.json") is None


def test_nothing_goes_out_in_the_clear_unless_the_address_says_so(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint speaks no TLS, and is not asked without."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.replace("http:", "https:"))
    with pytest.raises(EnvironmentFailure, match=r"s3://bucket/model/config\.json cannot be read: "):
        StoreFiles("s3://bucket/model").whole("config.json")


def test_a_machine_without_ca_certificates_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    with pytest.raises(EnvironmentFailure, match="model s3://bucket/model: there are no CA certificates"):
        StoreFiles("s3://bucket/model")
