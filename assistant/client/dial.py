"""Opening a connection to a server of the Realtime API."""

from urllib.parse import quote, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI

from assistant.client.errors import refused

_OPEN_S = 10.0
_CLOSE_S = 1.0  # in which a server answers our close frame
_MOST_BYTES = 16 * 2**20  # of one message; a second of audio has 64 KB


async def dial(url: str, token: str | None, resume: str = "") -> ClientConnection:
    """A connection, to go on with the session `resume` if it names one; raises RealtimeError.

    One that answers no ping within 20 s counts as lost.
    """
    try:
        return await connect(
            resuming(url, resume),
            additional_headers={"Authorization": f"Bearer {token}"} if token else None,
            compression=None,
            open_timeout=_OPEN_S,
            close_timeout=_CLOSE_S,
            max_size=_MOST_BYTES,
        )
    except (OSError, EOFError, InvalidHandshake, InvalidURI) as error:
        raise refused(url, error) from error


def resuming(url: str, session: str) -> str:
    """The address at which the conversation of `session` goes on; "" is none."""
    if not session:
        return url
    parts = urlsplit(url)
    asked = f"resume={quote(session, safe='')}"
    return parts._replace(query=f"{parts.query}&{asked}" if parts.query else asked).geturl()
