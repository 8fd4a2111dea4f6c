"""Fitting what ends a turn on one part of recorded turns, and judging it on the others.

`corpus` speaks our own requests, `clips` deals clips into parts, `hear` finds the silences in them, `points`
labels these, `fit` gives weights, `judge` and `policy` say how good they are, `report` prints it.
"""
