from __future__ import annotations

import time
from pathlib import Path

import certifi
import pytest

from shipfit.artifacts import open_store, running
from shipfit.artifacts.address import objects_at
from shipfit.artifacts.explain import shown_url
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import NoProgress


@pytest.mark.parametrize("url", ["ftp://host/path", "no-url", "https://example.com/x", "s3://", "/folder"])
def test_what_is_no_store_is_an_input_error(url: str) -> None:
    with (
        pytest.raises(InputError, match="is not the URL of an object store; write one of: s3://"),
        open_store(url, NoProgress()),
    ):
        pass


def test_a_folder_must_be_there(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="there is no such folder"),
        open_store(f"file://{tmp_path}/x", NoProgress()),
    ):
        pass


def test_no_credential_is_shown() -> None:
    assert "s3://bucket/path" == shown_url("s3://key:secret@bucket/path?token=secret#x")


def test_a_store_that_is_down_is_one_line_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    begun = time.monotonic()
    with pytest.raises(EnvironmentFailure) as caught, open_store("s3://bucket/prefix", NoProgress()) as store:
        store.names()
    assert 15 > time.monotonic() - begun
    expected = (
        "s3://bucket/prefix: the store cannot be reached, or stopped answering, while listing the artifacts"
    )
    assert str(caught.value).startswith(expected)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["https://127.0.0.1:9", "http://127.0.0.1:9"])
@pytest.mark.parametrize("file", ["nowhere", "empty"])
def test_a_machine_without_ca_certificates_is_told_what_to_install(
    endpoint: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").touch()
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(EnvironmentFailure) as caught, open_store("s3://bucket/prefix", NoProgress()):
        pass
    assert str(caught.value).startswith("s3://bucket/prefix: there are no CA certificates on this machine")
    assert (
        caught.value.hint
        == "install the package ca-certificates, or set SSL_CERT_FILE to a file that holds some"
    )


def test_nor_is_the_embedded_store_reached_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It speaks plain HTTP, and obstore's client wants certificates all the same."""
    monkeypatch.setenv("SHIPFIT_DATA_DIR", str(tmp_path))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    with pytest.raises(EnvironmentFailure, match="embedded store: there are no CA certificates"):
        running.objects({"s3": 9})


def test_certificates_in_ssl_cert_file_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the hint says: the client is made where the system's own cannot be found."""
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    objects_at("s3://bucket/prefix")
