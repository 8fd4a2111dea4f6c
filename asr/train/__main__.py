"""`python -m asr.train`: train the streaming encoder, or go on where it was interrupted."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from asr.audio import RATE
from asr.moonshine.config import MoonshineConfig, Windows, format_windows, parse_windows
from asr.moonshine.decoder import Decoder
from asr.moonshine.encoder import Encoder
from asr.moonshine.load_torch import load, state_of
from asr.moonshine.local import LocalEncoder
from asr.train.corpus import Source, read_corpus
from asr.train.distill import Distillation
from asr.train.loop import CHOICES, LoopConfig, resume, start, train
from asr.train.pool import Clips, draw_clips

_CLIP_S = ((4.0, 0.2), (8.0, 0.3), (12.0, 0.3), (16.0, 0.2))  # length, share of all audio


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, then write the averaged encoder."""
    options = _options().parse_args(arguments)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher, decoder, student = _models(options, device)
    choices = _choices(options, len(student.layers))
    config = LoopConfig(options.minutes, options.batch_s, options.rate, choices=choices)
    run = start(student, config)
    if options.checkpoint.exists() and not options.restart:
        resume(run, options.checkpoint)
    pools = _pools(options, teacher, decoder, device)
    models = Distillation(teacher, decoder, run.student)
    train(run, models, pools, config, 60 * options.stop_after, options.seed, options.checkpoint)
    weights16 = {name: value.astype(np.float16) for name, value in state_of(run.averaged).items()}
    save_file(weights16, options.output, {"windows": format_windows(choices[0])})


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m asr.train", description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True, help="the full model's weights (safetensors)")
    parser.add_argument("--decoder", type=Path, required=True)
    parser.add_argument(
        "--init", type=Path, help="a streaming encoder to begin with, in place of the full one"
    )
    parser.add_argument("--speech", action="append", default=[], metavar="FOLDER=WEIGHT", required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--restart", action="store_true", help="a new schedule; ignore the checkpoint")
    parser.add_argument(
        "--output", type=Path, required=True, help="the averaged encoder (safetensors, float16)"
    )
    parser.add_argument("--minutes", type=float, required=True, help="length of the training in all")
    parser.add_argument(
        "--stop-after", type=float, default=1e9, metavar="MINUTES", help="end this call earlier"
    )
    parser.add_argument("--hours", type=float, default=100.0, help="clips drawn and transcribed beforehand")
    parser.add_argument("--batch-s", type=float, default=384.0)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument(
        "--windows", action="append", default=[], metavar="LEFT:R,R,...", help="train these only; else many"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _models(options: argparse.Namespace, device: torch.device) -> tuple[Encoder, Decoder, LocalEncoder]:
    reads, writes = load_file(options.encoder), load_file(options.decoder)
    config = _shape(reads, writes)
    teacher, decoder, student = Encoder(config), Decoder(config), LocalEncoder(config)
    load(teacher, reads)
    load(decoder, writes)
    load(student, load_file(options.init) if options.init else reads, partly=options.init is None)
    for fixed in (teacher, decoder):
        fixed.to(device).requires_grad_(False)
    return teacher, decoder, student.to(device)


def _shape(
    encoder: Mapping[str, NDArray[np.float32]], decoder: Mapping[str, NDArray[np.float32]]
) -> MoonshineConfig:
    """The shape of a model with these weights; all of Moonshine's have eight heads."""
    vocabulary, width = decoder["embed_tokens.weight"].shape
    layers = {name.split(".")[1] for name in encoder if name.startswith("layers.")}
    mlp = len(encoder["layers.0.mlp.fc1.weight"])
    return MoonshineConfig(width, len(layers), mlp=mlp, vocabulary=vocabulary)


def _choices(options: argparse.Namespace, layers: int) -> tuple[Windows, ...]:
    choices = tuple(map(parse_windows, options.windows)) or CHOICES
    for choice in choices:
        if len(choice) != layers:
            raise ValueError(f"windows {format_windows(choice)}: the encoder has {layers} layers")
    return choices


def _pools(
    options: argparse.Namespace, teacher: Encoder, decoder: Decoder, device: torch.device
) -> list[Clips]:
    sources = [
        Source(Path(folder), float(weight)) for folder, weight in (s.rsplit("=", 1) for s in options.speech)
    ]
    corpus = read_corpus(sources, device)
    print(f"{len(corpus.samples) / RATE / 3600:.2f} h of speech", flush=True)
    generator = torch.Generator(device).manual_seed(options.seed)
    pools = []
    for seconds, share in _CLIP_S:
        count = 1 + int(options.hours * 3600 * share / seconds)
        pools.append(draw_clips(corpus, teacher, decoder, seconds, count, generator))
        print(f"{len(pools[-1].audio)} clips of {seconds} s", flush=True)
    if not any(len(pool.audio) for pool in pools):
        raise ValueError(
            "the full model comes to an end in none of the clips: is this speech, of its language?"
        )
    return pools


if __name__ == "__main__":
    main()
