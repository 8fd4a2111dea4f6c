"""The names under which the model store keeps the models that are not configurable."""

VAD = "silero-vad-v6"
TURN_END = "smart-turn-v3.2"
ASR = ("moonshine-tiny-en-encoder", "moonshine-tiny-en-decoder", "moonshine-tiny-en-tokenizer")
