"""`python -m llm.bench.follow_ups [MODEL]`: does a model repeat its last reply, or end in mid-sentence?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from llm.bench.command import EXPECTED, default_model
from llm.decode import Finished, GenerateConfig, Sampling, Token
from llm.decode.engine import prefill
from llm.decode.responder import Responder
from llm.eval import subject
from llm.eval.data import free_chat, prompts
from llm.eval.follow_ups import FACTS, Answer, Ask, measure
from llm.gguf import open_gguf
from llm.serve import SlotEngine
from llm.text import SYSTEM_PROMPT, ChatTemplate, Message, Tokenizer

_PROMPTS = 40


def asker(engine: SlotEngine, responder: Responder) -> Ask:
    """Replies of the responder, with what the engine itself thinks of them."""

    def ask(history: Sequence[Message], words: str) -> Answer:
        prompt = responder.prompt(history, words)
        text, ids, reason = "", [], ""
        for event in responder.reply(prompt, lambda: False):
            if isinstance(event, Token | Finished):
                text += event.text
            if isinstance(event, Token):
                ids.append(event.id)
            if isinstance(event, Finished):
                reason = event.reason
        if not ids:
            return Answer(text, reason, 0, 0.0)
        logits = prefill(engine, [*prompt.ids, *ids[:-1]], len(ids)).astype(np.float64)
        chosen = logits[np.arange(len(ids)), ids]
        return Answer(text, reason, len(ids), float(np.sum(chosen - np.logaddexp.reduce(logits, axis=1))))

    return ask


def bench(
    model: Annotated[Path | None, typer.Argument(help="A GGUF file; by default the assistant's.")] = None,
    half: Annotated[str, typer.Option(help="Prompts and facts: all, even (to choose on) or odd.")] = "all",
    penalty: Annotated[float, typer.Option(min=0.01, help="Repetition penalty.")] = 1.1,
    last_reply: Annotated[
        bool, typer.Option("--last-reply/--no-last-reply", help="Whether it is on the last reply, too.")
    ] = True,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
) -> None:
    """Print shares of replies that repeat the last one and that are cut, and what is known all the same."""
    if half not in ("all", "even", "odd"):
        raise typer.BadParameter("--half must be all, even or odd")
    first, every = {"all": (0, 1), "even": (0, 2), "odd": (1, 2)}[half]
    gguf = open_gguf(model or default_model())
    tokenizer = Tokenizer.from_gguf(gguf)
    template = ChatTemplate.from_gguf(gguf, tokenizer)
    sampling = Sampling(repetition_penalty=penalty, temperature=temperature)
    config = GenerateConfig(sampling=sampling, penalize_last_reply=last_reply)
    asked = [*prompts(), *free_chat()][first:_PROMPTS:every]
    with subject(gguf, "cpu", "int8") as opened:
        ask = asker(opened.engine, Responder(opened.engine, tokenizer, template, config))
        found = measure(ask, [Message("system", SYSTEM_PROMPT)], asked, FACTS[first::every])
    typer.echo(
        f"{found.replies} follow-ups: {found.repeated:.1%} repeat the last reply, "
        f"{found.retold:.1%} have most of its words; "
        f"{found.cut:.1%} of all are cut; "
        f"words {found.mean_words:.1f}, at most {found.most_words}; "
        f"{found.nll:.2f} nats a token; facts {found.facts} of {found.of_facts}"
    )


def main() -> None:
    """Run the command line; an error of the user's making is one line and exit code 1."""
    try:
        typer.run(bench)
    except EXPECTED as error:
        typer.echo(f"llm.bench.follow_ups: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
