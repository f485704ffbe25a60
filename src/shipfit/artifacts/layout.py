"""Where things lie in the bucket.

<prefix>/<name>/artifacts/<fingerprint>/files/<upload>/...   the files of one attempt to publish
<prefix>/<name>/artifacts/<fingerprint>/manifest.json        written last; names the attempt that counts
<prefix>/<name>/channels/<channel>.json                      moved by conditional write, with all its moves

``<upload>`` differs from attempt to attempt, so that no writer ever touches the files of another.
"""

from __future__ import annotations


def artifacts_prefix(name: str) -> str:
    """Where all artifacts of a name lie."""
    return f"{name}/artifacts"


def manifest_key(name: str, fingerprint: str) -> str:
    """The manifest of an artifact."""
    return f"{artifacts_prefix(name)}/{fingerprint}/manifest.json"


def uploads_prefix(name: str, fingerprint: str) -> str:
    """Where every attempt to publish an artifact lies."""
    return f"{artifacts_prefix(name)}/{fingerprint}/files"


def upload_prefix(name: str, fingerprint: str, upload: str) -> str:
    """Where the files of one attempt lie."""
    return f"{uploads_prefix(name, fingerprint)}/{upload}"


def channels_prefix(name: str) -> str:
    """Where all channels of a name lie."""
    return f"{name}/channels"


def channel_key(name: str, channel: str) -> str:
    """The document of a channel."""
    return f"{channels_prefix(name)}/{channel}.json"
