from __future__ import annotations

import pytest
from obstore.exceptions import GenericError

from shipfit.artifacts.explain import explained
from shipfit.core.errors import EnvironmentFailure

LABEL = "s3://bucket/models"


def _s3(code: str, message: str, status: str) -> str:
    """As the client words an answer of S3."""
    return (
        f"Generic S3 error: Error performing PUT http://store/bucket/x in 1ms - Server returned non-2xx status code: {status}:"
        f" <?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            _s3(
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                "403 Forbidden",
            ),
            "refused while publishing demo: this machine's clock and the store's differ by too much; set this machine's clock",
        ),
        (
            _s3("ExpiredToken", "The provided token has expired.", "400 Bad Request"),
            "the credentials have expired while publishing demo; log in anew",
        ),
        (
            _s3("AccessDenied", "Access Denied.", "403 Forbidden"),
            "no permission while publishing demo (AccessDenied: Access Denied.)",
        ),
        (
            _s3("SignatureDoesNotMatch", "The request signature does not match.", "403 Forbidden"),
            "no permission while publishing demo (SignatureDoesNotMatch",
        ),
        (
            _s3("InvalidAccessKeyId", "The access key ID does not exist in our records.", "403 Forbidden"),
            "no permission while publishing demo (InvalidAccessKeyId",
        ),
        (
            _s3("NoSuchBucket", "The specified bucket does not exist", "404 Not Found"),
            "there is no such bucket; make it, or name another",
        ),
        (
            _s3("XMinioStorageFull", "Storage backend has reached its minimum free drive threshold.", "507"),
            "no space left while publishing demo; free some",
        ),
        (
            "Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)",
            "no space left while publishing demo; free some",
        ),
        (
            "Generic S3 error: Error performing PUT http://store/x - HTTP error: error sending request",
            "the store cannot be reached, or stopped answering, while publishing demo",
        ),
        (
            "Generic S3 error: Error performing token request: error sending request for url (http://169.254.169.254/)",
            "no usable credentials were found while publishing demo; set the store's usual environment variables",
        ),
        (
            _s3("SlowDown", "Please reduce your request rate.", "503 Service Unavailable"),
            "publishing demo failed: SlowDown: Please reduce your request rate",
        ),
    ],
)
def test_what_a_store_answers_is_one_line_that_says_what_to_do(text: str, message: str) -> None:
    with pytest.raises(EnvironmentFailure) as caught, explained(LABEL, "publishing demo"):
        raise GenericError(text)
    assert str(caught.value).startswith(f"{LABEL}: {message}")
    assert "\n" not in str(caught.value)
