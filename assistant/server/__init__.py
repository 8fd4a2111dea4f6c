"""A WebSocket server that speaks OpenAI's Realtime protocol."""
