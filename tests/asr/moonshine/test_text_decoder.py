"""The decoder's graphs against torch, with random weights and with the shipped ones.

In float32 the log-probabilities agree to 1e-4. With 8-bit weights and activations, over 57 turns that both
read alike, those of the chosen tokens differ by 0.003 in the mean and 0.1 at most, and 3 texts of 60
differ, in their punctuation.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from graph_models import SMALL, random_decoder
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import recordings

from asr.load import load_decoder, load_full_encoder
from asr.moonshine.config import BOS, EOS, Heads, MoonshineConfig
from asr.moonshine.decoder import Decoder
from asr.moonshine.decoder_graph import LONGEST
from asr.moonshine.full_encoder import FullEncoder
from asr.moonshine.graph_ops import WeightType
from asr.moonshine.load_torch import load
from asr.moonshine.ort_weights import read_decoder
from asr.moonshine.prepared import GraphStore
from asr.moonshine.text_decoder import DecoderState, TextDecoder, decoder_graphs

HEADS: Heads = ((0, 1), (2, 0), (2, 3))
EXACT = 1e-4  # of log-probabilities in float32; measured 6e-6
LAST_BITS = 3e-7  # relative: the logarithm of one number and of several is computed differently
TINY = MoonshineConfig()

Array = NDArray[np.float32]


def hidden_states(frames: int, width: int = SMALL.width, seed: int = 3) -> Array:
    return np.random.default_rng(seed).standard_normal((frames, width)).astype(np.float32)


def tokens_of(count: int, config: MoonshineConfig = SMALL, seed: int = 4) -> list[int]:
    return np.random.default_rng(seed).integers(0, config.vocabulary, count).tolist()


def made(weights: WeightType, config: MoonshineConfig = SMALL) -> tuple[Decoder, TextDecoder]:
    model, state = random_decoder(config)
    graphs = decoder_graphs(state, config, alignment=HEADS, weights=weights)
    return model, TextDecoder(graphs, config)


@pytest.fixture(scope="module")
def exact() -> tuple[Decoder, TextDecoder]:
    return made("float32")


@pytest.fixture(scope="module")
def rounded() -> TextDecoder:
    return made("int8")[1]


def log_probs(model: Decoder, tokens: Sequence[int], hidden: Array) -> Array:
    """[tokens, vocabulary]"""
    logits = model.logits(torch.tensor([tokens]), torch.from_numpy(hidden)[None])
    found: Array = logits[0].log_softmax(-1).numpy()
    return found


def heard(decoder: TextDecoder, hidden: Array) -> DecoderState:
    state = decoder.begin()
    decoder.push(state, hidden)
    return state


def check(model: Decoder, decoder: TextDecoder, tokens: list[int], hidden: Array) -> None:
    expected = log_probs(model, tokens, hidden)
    step = decoder.decode(heard(decoder, hidden), tokens)
    np.testing.assert_array_equal(step.best, expected.argmax(axis=1))
    np.testing.assert_allclose(step.log_prob, expected.max(axis=1), atol=EXACT)
    assert step.attention.shape == (len(tokens), len(hidden))


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, heads=1, layers=3),
        replace(SMALL, heads=5, vocabulary=257, rotary_share=0.5, rotary_base=100.0),
        replace(SMALL, width=24, tied=False),
        replace(SMALL, rotary_share=1.0, width=64),
    ],
    ids=str,
)
def test_in_float32_it_is_the_torch_model(config: MoonshineConfig) -> None:
    heads: Heads = tuple((layer, head % config.heads) for layer, head in HEADS)
    model, state = random_decoder(config)
    decoder = TextDecoder(decoder_graphs(state, config, alignment=heads, weights="float32"), config)
    check(model, decoder, tokens_of(9, config), hidden_states(70, config.width))


passes = st.lists(st.integers(1, 30), min_size=1, max_size=6)


@given(passes, st.integers(1, 200))
@example([1] * 6, 64)
@example([63, 1], 65)
@example([64], 1)
@example([65], 128)
@settings(max_examples=25, deadline=None)
def test_any_cutting_into_passes_and_any_number_of_frames(
    exact: tuple[Decoder, TextDecoder], sizes: list[int], frames: int
) -> None:
    model, decoder = exact
    hidden, tokens = hidden_states(frames), tokens_of(sum(sizes))
    state, best, certain, at = heard(decoder, hidden), [], [], 0
    for size in sizes:
        step = decoder.decode(state, tokens[at : at + size])
        best += step.best.tolist()
        certain += step.log_prob.tolist()
        at += size
    expected = log_probs(model, tokens, hidden)
    assert best == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose(certain, expected.max(axis=1), atol=EXACT)


@given(passes, st.integers(1, 200))
@settings(max_examples=25, deadline=None)
def test_a_token_read_among_others_gives_what_it_gives_alone(
    rounded: TextDecoder, sizes: list[int], frames: int
) -> None:
    """To the last bit but one of the log-probability, 8-bit rounding and all: a draft changes no text."""
    hidden, tokens = hidden_states(frames), tokens_of(sum(sizes))
    alone, among, at = heard(rounded, hidden), heard(rounded, hidden), 0
    for size in sizes:
        together = rounded.decode(among, tokens[at : at + size])
        steps = [rounded.decode(alone, [token]) for token in tokens[at : at + size]]
        assert together.best.tolist() == [int(step.best[0]) for step in steps]
        singly = np.concatenate([step.log_prob for step in steps])
        np.testing.assert_allclose(together.log_prob, singly, rtol=LAST_BITS, atol=0)
        np.testing.assert_array_equal(together.attention, np.concatenate([s.attention for s in steps]))
        at += size


def test_8_bits_are_near_the_float32_model(exact: tuple[Decoder, TextDecoder], rounded: TextDecoder) -> None:
    """Random weights make more of the rounding than trained ones: measured 0.05."""
    hidden, tokens = hidden_states(90), tokens_of(40)
    expected = log_probs(exact[0], tokens, hidden)
    step = rounded.decode(heard(rounded, hidden), tokens)
    off = step.log_prob - expected[np.arange(40), step.best]
    assert np.median(np.abs(off)) < 0.1


def test_rows_that_are_not_asked_for_are_left_out(rounded: TextDecoder) -> None:
    hidden, tokens = hidden_states(90), tokens_of(12)
    every = rounded.decode(heard(rounded, hidden), tokens)
    state = heard(rounded, hidden)
    some = rounded.decode(state, tokens, rows_from=9)
    for whole, part in zip(every, some, strict=True):
        np.testing.assert_allclose(part, whole[9:], rtol=LAST_BITS, atol=0)
    assert state.tokens == 12


def test_tokens_taken_back_leave_no_trace(rounded: TextDecoder) -> None:
    hidden = hidden_states(90)
    state = heard(rounded, hidden)
    rounded.decode(state, tokens_of(100, seed=8))
    rounded.truncate(state, 5)
    rounded.truncate(state, 0)
    for mine, fresh in zip(
        rounded.decode(state, [7, 8, 9]), rounded.decode(heard(rounded, hidden), [7, 8, 9]), strict=True
    ):
        np.testing.assert_array_equal(mine, fresh)


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 40)), min_size=1, max_size=6))
@example([(64, 0), (64, 64), (0, 128)])
@settings(max_examples=25, deadline=None)
def test_frames_heard_again_replace_those_from_there_on(
    rounded: TextDecoder, pieces: list[tuple[int, int]]
) -> None:
    """As frames come: final ones, and provisional ones that the next piece overwrites."""
    state, kept = rounded.begin(), np.zeros((0, SMALL.width), np.float32)
    for number, (final, provisional) in enumerate(pieces):
        hidden = hidden_states(final + provisional, seed=number)
        rounded.push(state, hidden, at=len(kept))
        kept = np.concatenate([kept, hidden[:final]])
    kept = np.concatenate([kept, hidden[final:]])
    assert state.frames == len(kept)
    if len(kept):
        found, expected = rounded.decode(state, [1, 2]), rounded.decode(heard(rounded, kept), [1, 2])
        np.testing.assert_array_equal(found.best, expected.best)
        np.testing.assert_array_equal(found.attention, expected.attention)


def test_the_attention_is_the_mean_of_the_heads(exact: tuple[Decoder, TextDecoder]) -> None:
    model, decoder = exact
    hidden, tokens = hidden_states(70), torch.tensor([tokens_of(5)])
    queries: list[torch.Tensor] = []
    for layer in model.layers:
        layer.encoder_attn.q_proj.register_forward_hook(lambda *call: queries.append(call[2][0]))
    state = model.begin(torch.from_numpy(hidden)[None])
    model(tokens, state)
    expected = np.zeros((5, 70), np.float32)
    for layer, head in HEADS:
        channels = slice(head * SMALL.head_dim, (head + 1) * SMALL.head_dim)
        scores = queries[layer][:, channels] @ state.cross[layer][0][0, head].T * SMALL.head_dim**-0.5
        expected += scores.softmax(-1).numpy() / len(HEADS)
    step = decoder.decode(heard(decoder, hidden), tokens[0].tolist())
    np.testing.assert_allclose(step.attention, expected, atol=1e-5)
    np.testing.assert_allclose(step.attention.sum(axis=1), 1, atol=1e-5)


def test_what_cannot_be_read_is_refused_and_changes_nothing(rounded: TextDecoder) -> None:
    state = rounded.begin()
    with pytest.raises(ValueError, match="0 frames"):
        rounded.decode(state, [1])
    rounded.push(state, hidden_states(3))
    for tokens, rows_from in (([], 0), ([1], 1), ([1], -1), ([1] * (LONGEST + 1), 0)):
        with pytest.raises(ValueError, match="cannot decode"):
            rounded.decode(state, tokens, rows_from)
    with pytest.raises(ValueError, match="frame 4 cannot follow 3"):
        rounded.push(state, hidden_states(1), at=4)
    with pytest.raises(ValueError, match="cannot keep 1 of 0"):
        rounded.truncate(state, 1)
    assert (state.frames, state.tokens) == (3, 0)


def test_the_longest_text_can_be_read(exact: tuple[Decoder, TextDecoder]) -> None:
    model, decoder = exact
    hidden, tokens = hidden_states(5), tokens_of(LONGEST)
    state = heard(decoder, hidden)
    decoder.decode(state, tokens[:-1], rows_from=LONGEST - 2)
    step = decoder.decode(state, tokens[-1:])
    assert step.best[0] == log_probs(model, tokens, hidden)[-1].argmax()


def test_reading_on_copies_no_buffer(rounded: TextDecoder) -> None:
    """The graph writes new rows where the state keeps them, and the rows before stay as they are."""
    state = heard(rounded, hidden_states(20))
    rounded.decode(state, [1, 2, 3])
    buffer, before = state.own, state.own.copy()
    rounded.decode(state, [4])
    assert state.own is buffer
    np.testing.assert_array_equal(buffer[..., :3, :], before[..., :3, :])
    assert (buffer[..., 3, : SMALL.head_dim] != before[..., 3, : SMALL.head_dim]).any(axis=-1).all()


def read_greedily(decoder: TextDecoder, hidden: Array) -> list[int]:
    state, token = heard(decoder, hidden), BOS
    tokens: list[int] = []
    while len(tokens) < 60 and (token := int(decoder.decode(state, [token]).best[0])) != EOS:
        tokens.append(token)
    return tokens


def torch_greedily(model: Decoder, hidden: Array) -> list[int]:
    state, token = model.begin(torch.from_numpy(hidden)[None]), BOS
    tokens: list[int] = []
    while len(tokens) < 60 and (token := int(model(torch.tensor([[token]]), state)[0, -1].argmax())) != EOS:
        tokens.append(token)
    return tokens


@pytest.mark.models
def test_the_shipped_decoder_reads_the_recordings_as_torch_does(model_path: Callable[[str], Path]) -> None:
    path, store = model_path("moonshine-tiny-en-decoder"), GraphStore(None)
    decoder = load_decoder(path, store)
    encoder: FullEncoder = load_full_encoder(model_path("moonshine-tiny-en-encoder"), store)
    model = Decoder(TINY)
    load(model.requires_grad_(False), read_decoder(path))
    for name in ("000", "005", "013", "019"):
        recording = recordings()[name]
        hidden = encoder.encode(recording.audio[: recording.end + 3200])
        tokens = torch_greedily(model, hidden)
        assert read_greedily(decoder, hidden) == tokens
        state = heard(decoder, hidden)
        step = decoder.decode(state, [BOS, *tokens])
        certain = log_probs(model, [BOS, *tokens], hidden).max(axis=1)
        np.testing.assert_allclose(step.log_prob, certain, atol=0.2)  # measured 0.085 at most


@pytest.mark.models
def test_the_alignment_heads_hear_a_text_in_order(model_path: Callable[[str], Path]) -> None:
    """Where they look moves on with the words, from the first word to the last one spoken."""
    store = GraphStore(None)
    decoder = load_decoder(model_path("moonshine-tiny-en-decoder"), store)
    encoder = load_full_encoder(model_path("moonshine-tiny-en-encoder"), store)
    recording = recordings()["005"]
    hidden = encoder.encode(recording.audio[: recording.end + 3200])
    tokens = read_greedily(decoder, hidden)
    step = decoder.decode(heard(decoder, hidden), [BOS, *tokens])
    samples = step.attention[1:].argmax(axis=1) * 384 + 447
    backwards = np.diff(samples) < -3200
    assert backwards.mean() < 0.2
    assert abs(samples[0] - recording.start) < 16000 * 0.5
    assert abs(samples[-2] - recording.end) < 16000 * 0.5
