"""The edge where foreign audio becomes 16 kHz frames and back."""

from assistant.audio.clips import INDEX, Clip, ClipError, find_clips, read_clip
from assistant.audio.container import AudioError
from assistant.audio.files import read_audio, write_wav
from assistant.audio.resample import FRAME_MS, Resampler, frames, to_asr_rate

__all__ = [
    "FRAME_MS",
    "INDEX",
    "AudioError",
    "Clip",
    "ClipError",
    "Resampler",
    "find_clips",
    "frames",
    "read_audio",
    "read_clip",
    "to_asr_rate",
    "write_wav",
]
