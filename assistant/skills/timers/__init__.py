"""Timers, alarms, reminders and the stopwatch: what rings, and how people speak of time."""
