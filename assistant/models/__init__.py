"""The models: the catalogue, the store, and loading them."""
