"""The time and the calendar, here and elsewhere."""
