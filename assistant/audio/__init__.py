"""The edge where foreign audio becomes 16 kHz frames and back."""
