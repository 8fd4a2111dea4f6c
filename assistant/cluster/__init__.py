"""More than one machine: the server as a replica among many, and how many are needed."""
