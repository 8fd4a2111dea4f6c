"""How long an engine's greedy replies stay those of a reference."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from llm.decode.engine import ContextFull, Engine, common_prefix, prefill, step

TIE = 0.1  # logits: the reference holds its own token at most e^0.1 = 1.11 times as likely as the other


@dataclass(frozen=True)
class Continuation:
    """One greedy reply. The reference gives the first `agreed` of its tokens too, and then another.

    margin: by how many logits the reference prefers its own token there; None if all agree.
    """

    ids: tuple[int, ...]
    agreed: int
    margin: float | None

    @property
    def identical(self) -> bool:
        """Whether the reference replies the same."""
        return self.margin is None


@dataclass(frozen=True)
class Agreement:
    """The replies to all prompts, in their order."""

    replies: tuple[Continuation, ...]

    @property
    def identical(self) -> int:
        """How many replies are the reference's own."""
        return sum(reply.identical for reply in self.replies)

    @property
    def agreement(self) -> float:
        """The share of tokens that come before the first other one of their reply."""
        return sum(reply.agreed for reply in self.replies) / sum(len(reply.ids) for reply in self.replies)

    def ties(self, tolerance: float = TIE) -> int:
        """How many replies part where the reference prefers its own token by `tolerance` logits or less."""
        return sum(reply.margin is not None and reply.margin <= tolerance for reply in self.replies)


def continuations(
    engine: Engine,
    reference: Engine,
    prompts: Sequence[Sequence[int]],
    tokens: int,
    ends: Collection[int] = (),
) -> Agreement:
    """Continue each prompt greedily by `tokens`, or up to one of `ends`; see where the reference parts.

    The reference reads the reply in one pass rather than write its own: up to where they part it is the same.
    Raises ValueError for no prompts, an empty one or no tokens, and ContextFull before anything is computed.
    """
    check_room(engine, reference, prompts, tokens)
    return Agreement(
        tuple(_judge(reference, prompt, greedy(engine, prompt, tokens, ends)) for prompt in prompts)
    )


def check_room(engine: Engine, reference: Engine, prompts: Sequence[Sequence[int]], tokens: int) -> None:
    """Raise ValueError where there is nothing to continue, ContextFull where `tokens` more do not fit."""
    if not prompts or not all(prompts) or tokens < 1:
        raise ValueError(
            f"nothing to continue: {tokens} tokens after each of {len(prompts)} prompts, or an empty one"
        )
    longest, room = max(map(len, prompts)) + tokens - 1, min(engine.context, reference.context)
    if longest > room:  # the last token need not be read
        raise ContextFull(longest, room)


def greedy(engine: Engine, prompt: Sequence[int], tokens: int, ends: Collection[int] = ()) -> list[int]:
    """The likeliest token again and again: `tokens` of them, or up to one of `ends`, which is kept."""
    logits = prefill(engine, prompt)[-1]
    ids = [int(logits.argmax())]
    while len(ids) < tokens and ids[-1] not in ends:
        ids.append(int(step(engine, ids[-1]).argmax()))
    return ids


def _judge(reference: Engine, prompt: Sequence[int], ids: list[int]) -> Continuation:
    logits = prefill(reference, [*prompt, *ids[:-1]], len(ids))
    agreed = common_prefix(logits.argmax(axis=1).tolist(), ids)
    if agreed == len(ids):
        return Continuation(tuple(ids), agreed, None)
    parting = logits[agreed]
    return Continuation(tuple(ids), agreed, float(parting.max() - parting[ids[agreed]]))
