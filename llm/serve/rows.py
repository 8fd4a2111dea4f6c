"""Parts of any lengths as the rows of passes of a bounded size."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from llm.serve.batch import Logits, Part

Rows = NDArray[np.int32]


def read_rows(
    parts: Sequence[Part], max_rows: int, run: Callable[[Rows, Rows, Rows, Rows], Logits]
) -> list[Logits]:
    """Read the parts in as few passes of up to `max_rows` rows as they take; the logits of each.

    `run` reads tokens of slots at positions, [rows] each, and gives the logits of the rows wanted, ascending.
    """
    lengths = [len(part.tokens) for part in parts]
    tokens = np.concatenate([np.asarray(part.tokens, np.int32) for part in parts])
    slots = np.repeat(np.array([part.slot for part in parts], np.int32), lengths)
    positions = np.concatenate(
        [np.arange(part.start, part.start + len(part.tokens), dtype=np.int32) for part in parts]
    )
    ends = np.cumsum(lengths)
    wanted = np.concatenate([np.arange(e - p.logits_for, e) for e, p in zip(ends, parts, strict=True)])
    pieces = []
    for start in range(0, len(tokens), max_rows):
        here = slice(start, start + max_rows)
        inside = wanted[(wanted >= start) & (wanted < start + max_rows)] - start
        pieces.append(run(tokens[here], slots[here], positions[here], inside.astype(np.int32)))
    logits = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
    return np.split(logits, np.cumsum([part.logits_for for part in parts])[:-1])
