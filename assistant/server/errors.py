"""What keeps the server from starting."""


class ServerError(Exception):
    """The server cannot start as it is asked to. The message is one line and says what to change."""
