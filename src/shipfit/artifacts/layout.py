"""Where things lie in the bucket.

<prefix>/<name>/artifacts/<fingerprint>/files/<upload>/...   the files of one attempt to upload
<prefix>/<name>/artifacts/<fingerprint>/manifest.json        written last; says of each file which attempt's counts
<prefix>/<name>/artifacts/<fingerprint>/verdicts/<kind>.json what others found out about it, such as a load test
<prefix>/<name>/artifacts/<fingerprint>/gate/<digest>.json   what the gate measured later, on other text than before
<prefix>/<name>/artifacts/<fingerprint>/signatures/<id>.json one for each who signed it
<prefix>/<name>/work/<fingerprint>/...                       what a run has done so far; gone once that is committed
<prefix>/<name>/channels/<channel>.json                      moved by conditional write, with all its moves
<prefix>/<name>/pins/<fingerprint>.json                      keeps an artifact although no channel points to it
<prefix>/<name>/pins/<fingerprint>/<holder>.json             the same, for a release in a cluster that serves it
<prefix>/<name>/policy.json                                  rules of promotion and retention
<prefix>/<name>/guards/...                                   keep promotion and removal from each other

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
    """Where every attempt to upload an artifact lies."""
    return f"{artifacts_prefix(name)}/{fingerprint}/files"


def upload_prefix(name: str, fingerprint: str, upload: str) -> str:
    """Where the files of one attempt lie."""
    return f"{uploads_prefix(name, fingerprint)}/{upload}"


def works_prefix(name: str) -> str:
    """Where the unfinished work of every artifact of a name lies."""
    return f"{name}/work"


def work_prefix(name: str, fingerprint: str) -> str:
    """Where the unfinished work on an artifact lies."""
    return f"{works_prefix(name)}/{fingerprint}"


def begun_key(name: str, fingerprint: str) -> str:
    """Written when an upload begins, so that whoever removes old ones sees that this one is not."""
    return f"{work_prefix(name, fingerprint)}/begun.json"


def receipts_prefix(name: str, fingerprint: str) -> str:
    """Where a document lies for each file that arrived whole."""
    return f"{work_prefix(name, fingerprint)}/arrived"


def receipt_key(name: str, fingerprint: str, upload: str, path: str) -> str:
    """The document of a file that arrived whole."""
    return f"{receipts_prefix(name, fingerprint)}/{upload}/{path}.json"


def staged_key(name: str, fingerprint: str) -> str:
    """The document of an artifact that arrived whole and is not committed."""
    return f"{work_prefix(name, fingerprint)}/staged.json"


def checkpoint_key(name: str, fingerprint: str, stage: str, of: str) -> str:
    """The result of a stage of a pipeline."""
    return f"{work_prefix(name, fingerprint)}/stages/{stage}/{of}.json"


def log_key(name: str, fingerprint: str, stage: str) -> str:
    """The end of the log of a stage that failed."""
    return f"{work_prefix(name, fingerprint)}/logs/{stage}.log"


def channels_prefix(name: str) -> str:
    """Where all channels of a name lie."""
    return f"{name}/channels"


def channel_key(name: str, channel: str) -> str:
    """The document of a channel."""
    return f"{channels_prefix(name)}/{channel}.json"


def verdicts_prefix(name: str, fingerprint: str) -> str:
    """Where the verdicts on an artifact lie."""
    return f"{artifacts_prefix(name)}/{fingerprint}/verdicts"


def verdict_key(name: str, fingerprint: str, kind: str) -> str:
    """The latest verdict of a kind on an artifact."""
    return f"{verdicts_prefix(name, fingerprint)}/{kind}.json"


def measurement_key(name: str, fingerprint: str, digest: str) -> str:
    """What the gate measured of an artifact after it was committed."""
    return f"{artifacts_prefix(name)}/{fingerprint}/gate/{digest}.json"


def signatures_prefix(name: str, fingerprint: str) -> str:
    """Where the signatures of an artifact lie."""
    return f"{artifacts_prefix(name)}/{fingerprint}/signatures"


def signature_key(name: str, fingerprint: str, signer: str) -> str:
    """The latest signature of a signer."""
    return f"{signatures_prefix(name, fingerprint)}/{signer}.json"


def pins_prefix(name: str) -> str:
    """Where all pins of a name lie."""
    return f"{name}/pins"


def pin_key(name: str, fingerprint: str, holder: str | None = None) -> str:
    """The pin of an artifact: the one that people set, or that of a holder."""
    own = f"/{holder}" if holder else ""
    return f"{pins_prefix(name)}/{fingerprint}{own}.json"


def policy_key(name: str) -> str:
    """The rules for the artifacts of a name."""
    return f"{name}/policy.json"


def holds_prefix(name: str, fingerprint: str) -> str:
    """Where those who are about to name an artifact say so."""
    return f"{name}/guards/holds/{fingerprint}"


def removal_key(name: str, fingerprint: str) -> str:
    """Where who is about to remove an artifact says so."""
    return f"{name}/guards/removals/{fingerprint}.json"
