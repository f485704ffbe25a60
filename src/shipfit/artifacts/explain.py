"""What an object store's error means to a user: one line with the store's URL, never a credential."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from shipfit.core.errors import EnvironmentFailure, ShipfitError, missing_certificates

_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist|InvalidBucketName")
_NO_CREDENTIALS = re.compile(
    r"token request|169\.254\.|Account must be specified|MissingAccount|credential", re.IGNORECASE
)
_FORBIDDEN = re.compile(r"40[13] (?:Forbidden|Unauthorized)")
_CLOCK = re.compile(r"RequestTimeTooSkewed|RequestExpired|AuthenticationFailed.*(?:Date|time)", re.DOTALL)
_EXPIRED = re.compile(r"ExpiredToken|TokenRefreshRequired|token has expired", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"error sending request|timed ?out|connection (?:closed|reset|refused)|dns error", re.IGNORECASE
)
_FULL = re.compile(r"No space left|StorageFull|QuotaExceeded|XMinioStorageFull|os error 28\b")
_S3_ERROR = re.compile(r"<Code>([^<]+)</Code>(?:\s*<Message>([^<]*)</Message>)?")


def shown_url(url: str) -> str:
    """A store's URL as it may be printed: without user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


@contextmanager
def explained(label: str, doing: str, log: Path | None = None) -> Iterator[None]:
    """Turn the object store's errors inside into one line.

    A missing object stays a ``FileNotFoundError``, and a condition that did not hold stays what it is, for the caller
    to decide what they mean.

    Args:
        label: what to call the store; its URL without credentials.
        doing: what is being done, as "reading the manifest of demo".
        log: the store's own log, where there is one.

    Raises:
        EnvironmentFailure: the store failed.
    """
    try:
        yield
    except (BaseError, FileNotFoundError, NotImplementedError) as error:
        known = _explain(error, label, doing, log)
        if known is None:
            raise
        raise known from error


def _explain(error: Exception, label: str, doing: str, log: Path | None) -> ShipfitError | None:
    text = str(error).partition("Debug source")[0]
    if without := missing_certificates(error, label):
        return without
    if _NO_BUCKET.search(text):
        return EnvironmentFailure(
            f"{label}: there is no such bucket", hint="make it, or name another", log=log
        )
    if _is_condition(error) or isinstance(error, FileNotFoundError):
        return None
    forbidden = isinstance(error, PermissionDeniedError | UnauthenticatedError) or _FORBIDDEN.search(text)
    if _NO_CREDENTIALS.search(text) and not _S3_ERROR.search(text):
        hint = (
            "set the store's usual environment variables (for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        )
        return EnvironmentFailure(f"{label}: no usable credentials were found while {doing}", hint=hint)
    if _CLOCK.search(text):
        return EnvironmentFailure(
            f"{label}: refused while {doing}: this machine's clock and the store's differ by too much",
            hint="set this machine's clock (`timedatectl` shows it)",
            log=log,
        )
    if _EXPIRED.search(text):
        return EnvironmentFailure(
            f"{label}: the credentials have expired while {doing}",
            hint="log in anew and run the command again",
        )
    if forbidden:
        return EnvironmentFailure(
            f"{label}: no permission while {doing} ({_summary(text)})",
            hint="check the credentials in the environment and what they may do",
            log=log,
        )
    if _FULL.search(text):
        return EnvironmentFailure(f"{label}: no space left while {doing}", hint="free some", log=log)
    if _UNREACHABLE.search(text):
        return EnvironmentFailure(
            f"{label}: the store cannot be reached, or stopped answering, while {doing}",
            hint="check that it runs and run the command again",
            log=log,
        )
    return EnvironmentFailure(f"{label}: {doing} failed: {_summary(text)}", log=log)


def _is_condition(error: Exception) -> bool:
    return type(error).__name__ in {"AlreadyExistsError", "PreconditionError", "NotModifiedError"}


def _summary(text: str) -> str:
    spoken = _S3_ERROR.search(text)
    if spoken:
        return ": ".join(part for part in spoken.groups() if part)
    line = text.strip().splitlines()[0] if text.strip() else "no reason given"
    return re.sub(r"\?\S+", "", line)[:200]
