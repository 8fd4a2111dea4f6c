"""The server of one machine as a replica among many."""
