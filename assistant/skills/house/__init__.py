"""What can be switched in the home, and what it reports."""
