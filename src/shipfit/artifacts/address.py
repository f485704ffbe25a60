"""From a store's URL to its objects: S3, GCS, Azure and folders, with the credentials of the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from obstore import parse_scheme
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from shipfit.artifacts.explain import explained, shown_url
from shipfit.artifacts.objects import PATIENT_CLIENT, PATIENT_RETRY, QUICK_CLIENT, QUICK_RETRY, Objects
from shipfit.core.errors import InputError

if TYPE_CHECKING:
    from obstore.store import ClientConfig

_KINDS = "s3://bucket/path, gs://bucket/path, az://account/container/path, file:///folder"


def objects_at(url: str) -> Objects:
    """The objects below a URL.

    S3 obeys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL and the
    identities of machines and pods; GCS GOOGLE_APPLICATION_CREDENTIALS; Azure AZURE_STORAGE_ACCOUNT_KEY and the like.

    Raises:
        InputError: no store has such a URL.
        EnvironmentFailure: the environment's settings for that kind of store are not usable.
    """
    shown = shown_url(url)
    try:
        scheme = parse_scheme(url)
    except (BaseError, ValueError):
        scheme = None
    if scheme == "local":
        return _folder(url, shown)
    if scheme not in {"s3", "gcs", "azure"}:
        raise InputError(f"{shown!r} is not the URL of an object store", hint=f"write one of: {_KINDS}")
    plain_http: ClientConfig = _endpoint_is_plain_http() if scheme == "s3" else {}
    with explained(shown, "opening the store"):
        quick, patient = (
            from_url(url, client_options={**client, **plain_http}, retry_config=retry)
            for client, retry in ((QUICK_CLIENT, QUICK_RETRY), (PATIENT_CLIENT, PATIENT_RETRY))
        )
    return Objects(quick, patient, shown)


def _folder(url: str, shown: str) -> Objects:
    try:
        store = LocalStore.from_url(url)
    except (BaseError, ValueError):
        raise InputError(f"{shown}: there is no such folder", hint="make it, or name another") from None
    return Objects(store, store, shown)


def _endpoint_is_plain_http() -> ClientConfig:
    """Who names an http:// endpoint means it; obstore alone would want AWS_ALLOW_HTTP besides."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
    return {"allow_http": True} if endpoint.startswith("http://") else {}
