"""One module a command; `assistant.cli` imports each when it is called."""
