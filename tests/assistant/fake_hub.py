"""A hub on 127.0.0.1 that answers what huggingface_hub asks for a file, and nothing else."""

import contextlib
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

COMMIT, LATER = "a" * 40, "b" * 40
_API = re.compile(r"/api/models/(\w[\w.-]*/[\w.-]+)/revision/([^?]+)")
_RESOLVE = re.compile(r"/(\w[\w.-]*/[\w.-]+)/resolve/([^/]+)/(.+)")


@dataclass
class FakeHub:
    """One repository, me/tiny: its files by commit, and its branches.

    stated: digests to state in place of the true ones, None for a file without LFS. cut: so many bytes of a
    file are sent, then the connection closes. status, code: what every request is refused with.
    """

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    stated: dict[str, str | None] = field(default_factory=dict)
    licence: object = "apache-2.0"
    cut: int | None = None
    listing: tuple[int, str] | None = None
    resolving: tuple[int, str] | None = None
    requests: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    url: str = ""

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commit = self.branches.get(unquote(revision), revision)
        return (commit, self.commits[commit]) if commit in self.commits else None

    def digest(self, name: str, data: bytes) -> str | None:
        return self.stated.get(name, hashlib.sha256(data).hexdigest())

    def model(self, commit: str, files: dict[str, bytes]) -> bytes:
        siblings = [
            {"rfilename": name, "size": len(data), "blobId": "0" * 40, **self._lfs(name, data)}
            for name, data in files.items()
        ]
        card = {} if self.licence is None else {"cardData": {"license": self.licence}}
        return json.dumps({"id": "me/tiny", "sha": commit, "siblings": siblings, "tags": [], **card}).encode()

    def _lfs(self, name: str, data: bytes) -> dict[str, object]:
        digest = self.digest(name, data)
        return {"lfs": {"sha256": digest, "size": len(data), "pointerSize": 134}} if digest else {}


@contextlib.contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve until the block ends; fails for a request that it does not know."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            path = urlsplit(self.path).path
            if match := _API.fullmatch(path):
                self._list(*match.groups())
            elif match := _RESOLVE.fullmatch(path):
                self._resolve(*match.groups())
            else:
                hub.unexpected.append(f"{self.command} {self.path}")
                self._refuse(404, "")

        def do_HEAD(self) -> None:
            self.do_GET()

        def _list(self, repo: str, revision: str) -> None:
            if hub.listing or repo != "me/tiny":
                self._refuse(*(hub.listing or (401, "RepoNotFound")))
            elif found := hub.files(revision):
                self._send(hub.model(*found), {"Content-Type": "application/json"})
            else:
                self._refuse(404, "RevisionNotFound")

        def _resolve(self, repo: str, revision: str, name: str) -> None:
            found = hub.files(revision)
            if hub.resolving or not found or name not in found[1]:
                self._refuse(*(hub.resolving or (404, "EntryNotFound")))
                return
            commit, files = found
            digest = hub.digest(name, files[name])
            headers = {"X-Repo-Commit": commit, "ETag": f'"{digest or "0" * 40}"', "Accept-Ranges": "bytes"}
            if digest:
                headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(files[name]))}
            self._send(files[name], headers, hub.cut if self.command == "GET" else None)

        def _send(self, data: bytes, headers: dict[str, str], cut: int | None = None) -> None:
            begin = int(re.sub(r"\D", "", self.headers.get("Range", "")) or 0)
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - begin))
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data[begin : len(data) if cut is None else cut])
                self.close_connection = cut is not None

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
    assert hub.unexpected == []
