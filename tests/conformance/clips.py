"""What the clients say: a recording of traces/ as raw samples, since a client's environment reads no FLAC."""

from pathlib import Path

import soundfile
import soxr

QUESTION = Path(__file__).parents[2] / "traces/000.flac"  # "What is the capital of France?"


def write_clips(folder: Path) -> None:
    """Write question.pcm, 16-bit at 24 kHz, and question.ulaw, G.711 mu-law at 8 kHz."""
    audio, rate = soundfile.read(QUESTION, dtype="float32")
    for name, form, clip_rate in (("question.pcm", "PCM_16", 24000), ("question.ulaw", "ULAW", 8000)):
        clip = soxr.resample(audio, rate, clip_rate)
        soundfile.write(folder / name, clip, clip_rate, format="RAW", subtype=form)
