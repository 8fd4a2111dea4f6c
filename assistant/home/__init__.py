"""The home as skills see it: entities, their states, and what can be asked of them."""
