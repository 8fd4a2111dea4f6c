"""What it cannot do, cries for help, and small talk."""
