"""The voice assistant: graph, turn taking, sessions, replay, command line."""
