"""What is wrong with a trace, or keeps one from being recorded, simulated or compared."""


class TraceError(ValueError):
    """The message is one line that names the file and what is wrong with it."""

    exit_code = 2
