"""Where a language model on another machine is, how long to wait for it, and how it fails."""

from dataclasses import dataclass
from urllib.parse import urlsplit


class RemoteError(RuntimeError):
    """A server that cannot be used, or that failed; names neither keys nor anything that was said.

    `url` has no credentials, `status` is that of HTTP if it came so far. If `transient`, the same request may
    succeed, after `retry_after_s`.
    """

    def __init__(
        self,
        url: str,
        what: str,
        status: int | None = None,
        *,
        transient: bool = False,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(f"{url}: {what}")
        self.url, self.what, self.status = url, what, status
        self.transient, self.retry_after_s = transient, retry_after_s


@dataclass(frozen=True)
class RemoteConfig:
    """Where the model is and how long to wait for it, in seconds."""

    url: str = ""
    """Up to and with the version, as in http://127.0.0.1:8000/v1."""
    model: str = ""
    """The name by which the server knows the model; a server that has only one may ignore it."""
    api_key_env: str | None = None
    """The environment variable that holds the key: a key does not belong into a file."""
    connect_s: float = 3.0
    first_token_s: float = 10.0
    """From the request to the first word, retries included."""
    between_tokens_s: float = 5.0
    retries: int = 2
    """Before the first word only: after it, another reply would begin in the middle of this one."""
    max_prompt_chars: int = 16_000
    """About 4000 tokens of English. A longer history loses its oldest turns."""

    def __post_init__(self) -> None:
        times = (self.connect_s, self.first_token_s, self.between_tokens_s)
        if not all(0 < seconds <= 3600 for seconds in times):
            raise ValueError("connect_s, first_token_s and between_tokens_s must be in (0, 3600]")
        if not 0 <= self.retries <= 10 or self.max_prompt_chars < 1:
            raise ValueError("retries must be 0 to 10, and max_prompt_chars at least 1")


def checked_url(url: str) -> str:
    """An http or https URL, fit to be printed; raises RemoteError, which does not quote a secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        raise RemoteError("remote model", "its URL cannot be read") from None
    if parts.scheme not in ("http", "https") or not host:
        raise RemoteError("remote model", "its URL must begin with http:// or https:// and name a host")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise RemoteError("remote model", "its URL has characters that must be escaped")
    authority = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    shown = f"{parts.scheme}://{authority}{parts.path}"
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise RemoteError(shown, "the URL of a remote model has no credentials, query or fragment")
    return shown
