"""What is read of recordings of various lengths, together and one by one."""

import numpy as np
import pytest
import torch
from tiny_models import NARROW, TINY, audio, decoder, encoder, randomize

from asr.moonshine.config import BOS, EOS, Windows
from asr.moonshine.local import LocalEncoder
from asr.train.evaluate import Said, transcripts

VOCABULARY = [b"<s>", b"<s>", b"</s>", *(b"\xe2\x96\x81w%d" % token for token in range(3, 64))]
SECONDS = (0.005, 1.3, 2.0, 2.1, 1.7, 4.5)


@pytest.mark.parametrize("windows", [None, NARROW])
@torch.no_grad()
def test_each_clip_is_read_as_it_would_be_alone(windows: Windows | None) -> None:
    clips = [
        Said(f"{index}.wav", audio(1, round(seconds * 16_000), seed=index)[0].numpy(), "nothing")
        for index, seconds in enumerate(SECONDS)
    ]
    model = encoder() if windows is None else LocalEncoder(TINY)
    randomize(model, 1)
    found = transcripts(model, decoder(), VOCABULARY, clips, windows)
    expected = {}
    for clip, filled in zip(clips, (2, 2, 2, 4, 2, 6), strict=True):  # seconds
        heard = np.zeros(filled * 16_000, np.float32)
        heard[: len(clip.audio)] = clip.audio
        hidden = model(torch.from_numpy(heard)[None], *([windows] if windows else []))
        said = [BOS]
        while said[-1] != EOS and len(said) <= filled * 6.5 + 4:
            said.append(int(decoder().logits(torch.tensor([said]), hidden)[0, -1].argmax()))
        expected[clip.name] = " ".join(f"w{token}" for token in said[1:] if token > EOS)
    assert found == expected
    assert len(set(expected.values())) > 3
