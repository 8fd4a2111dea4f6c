"""What one reply may differ in from the next."""

from dataclasses import dataclass

from llm.text.message import Tool


@dataclass(frozen=True)
class ReplyOptions:
    """How long a reply may be, in tokens (None: as configured), and what its model may call.

    tool_choice: "auto", "none", "required" or the name of a function. "none" hides the tools from a model in
    this process, and a name all others; it is only shown them. A server is told all tools and the choice, and
    can make its model call. Raises ValueError for another choice, or a limit below 1.
    """

    max_tokens: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    calls: tuple[str, ...] = ()
    """Functions that the model may call without being told of them: it was trained to."""

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens must be positive: {self.max_tokens}")
        if self.tool_choice not in ("auto", "none", "required", *(tool.name for tool in self.tools)):
            raise ValueError(f"tool_choice {self.tool_choice!r:.80} is no function that was declared")

    @property
    def shown(self) -> tuple[Tool, ...]:
        """The tools that the model is told of, and may call."""
        if self.tool_choice in ("auto", "required"):
            return self.tools
        return tuple(tool for tool in self.tools if tool.name == self.tool_choice)

    @property
    def callable(self) -> tuple[str, ...]:
        """The names of all functions that the model may call."""
        return (*(tool.name for tool in self.shown), *self.calls)


AS_CONFIGURED = ReplyOptions()
"""As long as configured, and without tools."""
