"""What asks the hub, and downloads from it: a script that runs in a process of its own, never imported.

    hub_child.py look-up REPO FILE REVISION             prints what `assistant.models.hub` reads, as JSON
    hub_child.py download REPO FILE REVISION FOLDER     puts the file into FOLDER, under its own name

What the user has to mend is one line on standard error behind "REFUSED: ", with exit code 1; all else is the
traceback of huggingface_hub.
"""

import json
import sys
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

_TIMEOUT_S = 10  # as the library has it for downloads
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


def look_up(repo: str, file: str, revision: str) -> dict[str, Any]:
    """The commit of `revision`, the file's size and SHA-256 as far as they are stated, and the names of all
    GGUF files."""
    info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=_TIMEOUT_S)
    files = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    found = files.get(file)
    return {
        "commit": info.sha,
        "licence": getattr(info.card_data, "license", None),
        "there": found is not None,
        "size": found and found.size,
        "sha256": found.lfs.sha256 if found and found.lfs else None,
        "models": [name for name in files if name.endswith(".gguf")],
    }


def _reason(error: Exception, repo: str, file: str, revision: str) -> str:
    if isinstance(error, GatedRepoError):
        return f"{repo} is gated: accept its terms at {ENDPOINT}/{repo}, then {_LOG_IN}"
    if isinstance(error, RepositoryNotFoundError):
        return f"{ENDPOINT} has no repository {repo}, or it is private: check its name, or {_LOG_IN}"
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} has no revision {revision!r}: leave it out for main"
    return f"{repo} has no file {file!r} at revision {revision!r}"


def main(action: str, repo: str, file: str, revision: str, *folder: str) -> None:
    """Do what the first argument says."""
    if HF_HUB_OFFLINE:
        sys.exit("REFUSED: the hub's library is told to stay offline: unset HF_HUB_OFFLINE")
    try:
        if action == "look-up":
            print(json.dumps(look_up(repo, file, revision)))
        else:
            hf_hub_download(repo, file, revision=revision, local_dir=folder[0])
    except LocalEntryNotFoundError:  # the hub did not answer
        raise
    except (
        RepositoryNotFoundError,
        RevisionNotFoundError,
        EntryNotFoundError,
    ) as error:
        sys.exit(f"REFUSED: {_reason(error, repo, file, revision)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
