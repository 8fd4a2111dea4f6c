"""Talking to a server of OpenAI's Realtime API: what goes over the wire, and what sounds here."""
