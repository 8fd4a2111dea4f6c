"""How many callers a machine holds, and how many machines callers need: measured costs, and a simulation."""
