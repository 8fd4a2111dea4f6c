"""How weights, keys and values lie in memory."""
