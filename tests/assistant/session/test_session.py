"""Whole turns on virtual time. Times are worked out by hand from the frames (20 ms), the VAD's windows
(32 ms) and what the models' work takes (`Timing`); all are milliseconds from the start of the session.

Every run also checks what holds for any scene (`World`): nothing speculative in the history at any
frame or in any prompt, parts that sum, every script used up, no task left behind.
"""

import asyncio
from dataclasses import replace

import pytest
from fakes import Scene, Timing, Voice
from world import SYSTEM, WatchedSink, World

from assistant.session.events import Failed
from assistant.session.parts import PARTS, split, ttfa_ms
from assistant.session.reply import FALLBACK
from assistant.session.stages import Audio
from assistant.session.turn import TurnConfig
from llm.decode.engine import ContextFull, CudaBroken, EngineOutOfMemory
from llm.decode.sample import BrokenLogits
from llm.remote import RemoteError
from llm.text.chat import Message

TURN = TurnConfig(
    start_ms=64,
    prepare_ms=64,
    resume_ms=64,
    barge_in_ms=192,
    min_silence_ms=250,
    max_silence_ms=1600,
    patience=0.5,
)
MS = 1_000_000
STORY = "Yes. Once upon a time there was a king who slept, and slept, and slept."


def play(scene: Scene, turn: TurnConfig = TURN) -> World:
    world = World(scene, turn).run()
    world.check_sink()
    return world


def history(*texts: str) -> list[Message]:
    """The system prompt, then what the user and the assistant said in turn."""
    turns = [Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts)]
    return [Message("system", SYSTEM), *turns]


def user_words(world: World) -> str:
    return " ".join(m.content for m in world.history() if m.role == "user")


def test_one_turn_from_the_last_voiced_sample_to_the_last_word() -> None:
    """Voice until 960. The window that ends at 1024 starts the reply, with the frame at 1040; the
    score is there at 1100, the transcript at 1140, the prompt in the cache at 1210. 250 ms of silence
    are over with the window that ends at 1216: decided at 1220. First token 1225; its phrase needs
    "there." and the word after it, 1255; its first chunk 1285; heard behind 20 ms of latency and 10
    of leading silence, 1315.
    """
    reply = "Hello there. I am fine, thanks."
    world = play(Scene((Voice(320, 960, "how are you"),), {"how are you": reply}, 4000))
    (record,) = world.records
    assert (record.transcript, record.reply, record.heard) == ("how are you", reply, reply)
    assert not record.interrupted and not record.reopened and record.underruns == 0
    assert world.history() == history("how are you", reply)
    assert world.ms(record.voice_end_ns) == 960 and world.ms(record.decided_ns) == 1220
    assert record.boundaries is not None
    parts = split(record.voice_end_ns, record.boundaries)
    assert [part.name for part in parts] == list(PARTS)
    assert [part.ms for part in parts] == [260, 0, 0, 0, 0, 5, 30, 30, 30]
    assert [part.hidden_ms for part in parts] == [0, 100, 0, 0, 70, 10, 0, 0, 0]
    assert ttfa_ms(parts) == pytest.approx(1315 - 960, abs=1)
    assert world.sounded() == [
        ("Hello", 1305, 1605),
        ("there.", 1605, 1905),
        ("I", 1905, 2205),
        ("am", 2205, 2505),
        ("fine,", 2505, 2805),
        ("thanks.", 2805, 3105),
    ]


def test_the_graph_itself_records_where_the_time_went() -> None:
    """The words leave it open whether the turn is over, so its sound is scored behind the transcript."""
    voice = Voice(320, 960, "how are you", reads=0.96)
    world = play(Scene((voice,), {"how are you": "Fine. And you?"}, 4000))
    work = {s.track: (world.ms(s.start_ns), world.ms(s.end_ns)) for s in world.recorder.spans if s.reply == 0}
    assert work["transcribe"] == (1040, 1140)
    assert work["score"] == (1140, 1200)
    assert work["generate"] == (1140, 1140 + 70 + 3 * 15)
    queued = {span.track for span in world.recorder.spans if span.name == "queue"}
    assert queued == {
        "frames",
        "events",
        "utterances",
        "partials",
        "so_far",
        "scores",
        "transcripts",
        "prompts",
        "generated",
        "phrases",
        "audio",
    }


DOUBTED = Voice(320, 960, "how are you", reads=0.98)
"""Log-odds of -5.87 + 1.37 * 3 / 4 + 0.55 * log(49) - 1.08 * log(0.02) = 1.523: 2 end a turn."""


def test_what_the_language_model_makes_of_doubtful_words_ends_the_turn() -> None:
    """0.45 + 0.89 * 1.523 + 0.23 * 2 = 2.265, which is known 150 ms after the transcript of 1140 ms."""
    scene = Scene(
        (DOUBTED,), {DOUBTED.words: "Fine. And you?"}, 4000, Timing(closes=150), closes={DOUBTED.words: 2}
    )
    world = play(scene)
    (record,) = world.records
    assert world.ms(record.decided_ns) == 1290
    assert world.writer.doubted == [DOUBTED.words]
    assert not [span for span in world.recorder.spans if span.track == "score" and span.name != "queue"]


def test_a_sentence_that_goes_on_waits_for_sound_and_silence() -> None:
    """0.45 + 0.89 * 1.523 - 0.23 * 4 = 0.885, with the sound -0.8 + 0.95 * 0.885 + 0.31 * log(99) = 1.465.

    0.25 * 5.6 ** (1 - exp(-0.535)) = 0.510 s of silence add the rest: 960 + 512 ms, in the frame behind that.
    """
    scene = Scene((DOUBTED,), {DOUBTED.words: "Fine. And you?"}, 4000, closes={DOUBTED.words: -4})
    world = play(scene)
    (record,) = world.records
    assert world.ms(record.decided_ns) == 1480


def test_a_language_model_that_fails_leaves_it_to_the_sound() -> None:
    """Behind the transcript of 1140 ms that takes 60: -1.05 + 1.03 * 1.523 + 0.4 * log(99) = 2.357."""
    voice = replace(DOUBTED, sounds=0.99)
    scene = Scene((voice,), {voice.words: "Fine. And you?"}, 4000, ahead=RuntimeError("no more"), closes={})
    world = play(scene)
    (record,) = world.records
    assert [(failed.stage, failed.why) for failed in world.failures] == [("read", "no more")]
    assert world.ms(record.decided_ns) == 1220
    assert record.reply == "Fine. And you?"


def test_partials_follow_the_growing_utterance() -> None:
    voice = Voice(320, 2240, "one two three four five six")
    world = play(Scene((voice,), {voice.words: "Six."}, 4500))
    # A word is 320 ms long; the readings at 800, 1280, 1760 and 2240 know those that are over.
    assert [partial.text for partial in world.partials] == [
        "one",
        "one two three",
        "one two three four",
        "one two three four five six",
    ]


def test_a_second_turn_is_asked_with_the_first_in_its_history() -> None:
    voices = (Voice(320, 960, "hello"), Voice(3200, 4160, "who are you"))
    world = play(Scene(voices, {"hello": "Hi. Yes?", "who are you": "A friend."}, 6500))
    assert [record.number for record in world.records] == [0, 1]
    assert world.history() == history("hello", "Hi. Yes?", "who are you", "A friend.")


def test_a_pause_and_a_resumption_leave_no_trace_of_the_first_candidate() -> None:
    voices = (Voice(320, 960, "what is", sounds=0.05, reads=0.05), Voice(1600, 2240, "the time"))
    replies = {"what is": "Never say this to anybody.", "what is the time": "Noon. Lunch!"}
    world = play(Scene(voices, replies, 5000))
    (record,) = world.records
    assert world.writer.transcripts == ["what is", "what is the time"]  # it did speculate
    assert len(world.speaker.words) > 2  # even as far as its audio
    assert record.number == 1
    assert world.history() == history("what is the time", "Noon. Lunch!")
    assert [word for word, _, _ in world.sounded()] == ["Noon.", "Lunch!"]


def test_an_abandoned_reply_does_not_hold_up_the_next() -> None:
    """The engine is in the middle of 400 tokens (6 s) for the first candidate when the user resumes."""
    voices = (Voice(320, 960, "what is", sounds=0.05, reads=0.05), Voice(1600, 2240, "the time"))
    replies = {"what is": "blah " * 400, "what is the time": "Noon. Lunch!"}
    world = play(Scene(voices, replies, 5000))
    (record,) = world.records
    assert record.boundaries is not None
    # Prepared at 2320 (2304 is 64 ms after the voice): the transcript 100 ms later, the engine at once.
    assert world.ms(record.boundaries.ends_ns["llm.queue"]) == 2420
    assert world.ms(record.boundaries.ends_ns["llm.prefill"]) == 2490


def test_a_transcript_that_arrives_after_the_user_has_resumed_does_not_end_the_turn() -> None:
    """Reading takes 700 ms: that of the first candidate, a complete question, is over at 1740."""
    voices = (Voice(320, 960, "what is it"), Voice(1500, 2140, "that you want"))
    replies = {"what is it that you want": "Nothing. Thanks."}
    world = play(Scene(voices, replies, 6000, Timing(read=700)))
    assert world.reader.finals == ["what is it", "what is it that you want"]
    assert world.writer.transcripts == ["what is it that you want"]
    assert [record.transcript for record in world.records] == ["what is it that you want"]


def test_a_turn_that_was_cut_into_is_reopened_and_merged() -> None:
    """Decided at 1220; the user goes on at 1260 and takes the turn back at 1320, before the first
    chunk (100 ms after its phrase, 1350) can sound."""
    voices = (Voice(320, 960, "book a table"), Voice(1260, 1900, "for two"))
    replies = {"book a table": "Sure. Where?", "book a table for two": "Done. Enjoy."}
    world = play(Scene(voices, replies, 4500, Timing(chunk=100)))
    cut, whole = world.records
    assert cut.interrupted and cut.reopened and cut.boundaries is None and cut.heard == ""
    assert world.ms(cut.decided_ns) == 1220
    assert not whole.interrupted and not whole.reopened
    assert world.history() == history("book a table for two", "Done. Enjoy.")
    assert [word for word, _, _ in world.sounded()] == ["Done.", "Enjoy."]


@pytest.mark.parametrize("chunk_ms", range(0, 130, 5))
def test_whenever_the_user_goes_on_nothing_is_said_twice_or_lost(chunk_ms: int) -> None:
    """The first chunk comes between 1240 and 1365; voice from 1260 reopens the turn at 1320 or barges
    in later. Whichever it is, each thing the user said stands in the history once."""
    voices = (Voice(320, 960, "book a table"), Voice(1260, 1900, "for two"))
    replies = {"book a table": "Sure. Where?", "book a table for two": "Done.", "for two": "Two what?"}
    world = World(Scene(voices, replies, 4500, Timing(chunk=chunk_ms, lead=0)), TURN)
    world.strict.remove(world.writer)  # one of the two is not asked for
    world.run()
    world.check_sink()
    assert user_words(world) == "book a table for two"
    assert [record.reopened for record in world.records][-1] is False


class LateSink(WatchedSink):
    """Takes the first chunk when the event that reopens the turn is queued, but not looked at yet."""

    def __init__(self, world: World) -> None:
        super().__init__(world.loop)
        self._world = world

    async def write(self, audio: Audio, sample_rate: int) -> int:
        clock, events = self._world.loop.clock, self._world.session._events
        if clock.now_ns() > 1320 * MS:
            return await super().write(audio, sample_rate)
        await clock.sleep_until(1320 * MS)
        while not len(events):  # noqa: ASYNC110  # the very moment that it comes
            await asyncio.sleep(0)
        return clock.now_ns()


def test_a_chunk_in_the_moment_of_the_interruption_does_not_make_two_turns_of_one() -> None:
    """To the turn machine the reply has not been heard, so it takes the turn back from its start."""
    voices = (Voice(320, 960, "book a table"), Voice(1260, 1900, "for two"))
    replies = {"book a table": "Sure. Where?", "book a table for two": "Done. Enjoy."}
    world = World(Scene(voices, replies, 4500), TURN)
    world.sink = LateSink(world)
    world.run()
    assert user_words(world) == "book a table for two"


def test_barge_in_stops_the_reply_and_keeps_what_was_heard() -> None:
    """ "Yes." is a phrase at 1240, its chunk comes at 1270 and sounds from 1290, 300 ms a word. The user
    speaks from 2500: windows from 2496 on, 192 ms are over at 2688, in the frame at 2700. By then
    four words are over (2490), and the fifth is cut off."""
    voices = (Voice(320, 960, "tell me a story"), Voice(2500, 3400, "stop it please"))
    world = play(Scene(voices, {"tell me a story": STORY, "stop it please": "As you like."}, 6000))
    story, stop = world.records
    assert story.interrupted and not story.reopened
    assert story.heard == "Yes. Once upon a"
    assert world.sounded()[:5] == [
        ("Yes.", 1290, 1590),
        ("Once", 1590, 1890),
        ("upon", 1890, 2190),
        ("a", 2190, 2490),
        ("time", 2490, 2700),
    ]
    assert [word for word, _, _ in world.sounded()[5:]] == ["As", "you", "like."]
    assert stop.transcript == "stop it please" and not stop.interrupted
    assert world.history() == history("tell me a story", "Yes. Once upon a", "stop it please", "As you like.")


def test_barge_in_before_a_word_was_over_keeps_the_question() -> None:
    """The reply sounds from 1290. The user speaks from 1300: windows from 1312 on, 192 ms are over at
    1504, in the frame at 1520: in the first word. Where that could be held, it would be one turn."""
    voices = (Voice(320, 960, "tell me a story"), Voice(1300, 2200, "no a joke"))
    scene = Scene(voices, {"tell me a story": STORY, "no a joke": "Knock. Knock."}, 5000)
    world = play(scene, replace(TURN, reversible=False))
    story, _ = world.records
    assert story.interrupted and not story.reopened and story.heard == ""
    assert world.sounded()[0] == ("Yes.", 1290, 1520)
    assert [(m.role, m.content) for m in world.history()[1:]] == [
        ("user", "tell me a story"),
        ("user", "no a joke"),
        ("assistant", "Knock. Knock."),
    ]


def test_a_cough_over_the_reply_does_not_stop_it() -> None:
    voices = (Voice(320, 960, "tell me a story"), Voice(2500, 2600, ""))
    world = play(Scene(voices, {"tell me a story": "Yes. Once upon a time."}, 5000))
    (record,) = world.records
    assert record.heard == "Yes. Once upon a time." and not record.interrupted


def test_without_barge_in_the_reply_is_played_to_its_end() -> None:
    voices = (Voice(320, 960, "tell me a story"), Voice(1300, 2400, "stop"))
    turn = TurnConfig(min_silence_ms=250, interrupt_response=False)
    world = World(Scene(voices, {"tell me a story": "Yes. Once upon a time."}, 5000), turn)
    world.strict.remove(world.reader)  # nobody reads the second voice
    world.run()
    (record,) = world.records
    assert record.heard == "Yes. Once upon a time." and not record.interrupted


def test_noise_is_no_turn() -> None:
    world = play(Scene((Voice(320, 960, ""),), {}, 3000))
    assert world.reader.finals == [""]
    assert world.records == [] and world.sounded() == []
    assert world.history() == history()
    assert world.session.idle


@pytest.mark.parametrize("read_ms", [100, 1800])
def test_noise_does_not_keep_the_next_turn_from_being_heard(read_ms: int) -> None:
    """Also when that it was noise is known only after the longest silence had ended the turn."""
    voices = (Voice(320, 960, ""), Voice(5000, 5640, "hello"))
    world = play(Scene(voices, {"hello": "Hi. Yes?"}, 12000, Timing(read=read_ms)))
    assert [record.transcript for record in world.records] == ["hello"]
    assert world.history() == history("hello", "Hi. Yes?")


@pytest.mark.parametrize("reply", ["", " ", "...", "*"])
def test_a_reply_with_nothing_to_say_becomes_the_fallback(reply: str) -> None:
    world = play(Scene((Voice(320, 960, "hello"),), {"hello": reply}, 6000))
    (record,) = world.records
    assert record.heard.endswith(FALLBACK)
    assert " ".join(word for word, _, _ in world.sounded()) == FALLBACK
    assert record.boundaries is not None


def test_a_prompt_too_long_for_the_context_gets_the_fallback() -> None:
    """Nothing to wait for: the turn ends in the first window 250 ms after 960, in the frame at 1220."""
    world = play(Scene((Voice(320, 960, "hello"),), {"hello": ContextFull(5000, 2048)}, 8000))
    (record,) = world.records
    assert world.ms(record.decided_ns) == 1220
    assert record.reply == record.heard == FALLBACK
    assert record.boundaries is not None
    parts = split(record.voice_end_ns, record.boundaries)
    # Prepared at 1040, read until 1140, refused at 1210, spoken from 1240, heard 30 ms later: 310 after 960.
    assert ttfa_ms(parts) == 310


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        (RemoteError, ("http://host/v1", "refused")),
        (BrokenLogits, (float("nan"), 9)),
        (EngineOutOfMemory, ("4 MB for 512 rows",)),
    ],
)
def test_a_reply_that_fails_is_excused_and_the_next_turn_is_answered(
    kind: type[Exception], facts: tuple[object, ...]
) -> None:
    error = kind(*facts)
    voices = Voice(320, 960, "hello"), Voice(8000, 8640, "again")
    world = play(Scene(voices, {"hello": error, "again": "Yes. There it is."}, 14000))
    first, second = world.records
    assert first.reply == first.heard == FALLBACK
    assert second.reply == second.heard == "Yes. There it is."
    (failed,) = [span for span in world.recorder.spans if span.name == "failed"]
    assert failed.attributes == {"why": str(error)}


def test_what_speculation_did_is_in_the_spans() -> None:
    world = play(Scene((Voice(320, 960, "hello"),), {"hello": "Yes. There it is."}, 3000))
    (span,) = [span for span in world.recorder.spans if span.name == "speculated"]
    assert span.attributes == {
        "drafted": 8,
        "accepted": 6,
        "acceptance_rate": 0.75,
        "tokens_per_pass": 2.5,
        "draft_length": 3,
        "enabled": True,
    }


def test_which_kernels_served_a_reply_is_in_its_spans() -> None:
    world = play(Scene((Voice(320, 960, "hello"),), {"hello": "Yes. There it is."}, 3000))
    spans = [span for span in world.recorder.spans if span.name == "served"]
    assert [(span.track, span.reply) for span in spans] == [("generate", 0)] * 2
    assert [dict(span.attributes) for span in spans] == [
        {
            "operation": "qkv",
            "kernel": "Triton",
            "shape": "[<=16, 576] x [960, 576]",
            "dtype": "float16 x 4 bits",
            "passes": 4,
        },
        {
            "operation": "head",
            "kernel": "torch",
            "shape": "[1, 576] x [49152, 576]",
            "dtype": "float16 x 8 bits",
            "passes": 1,
        },
    ]


def test_a_gpu_that_failed_ends_the_session() -> None:
    voices = Voice(320, 960, "hello"), Voice(8000, 8640, "again")
    broken = CudaBroken("an illegal memory access was encountered")
    world = World(Scene(voices, {"hello": broken, "again": "Never said."}, 14000), TURN)
    with pytest.raises(BaseExceptionGroup) as caught:
        world.run()
    assert caught.group_contains(CudaBroken, match="illegal memory access")
    assert world.sounded() == [] and world.writer.transcripts == ["hello"]
    (span,) = [span for span in world.recorder.spans if span.name == "broken"]
    assert span.attributes == {"why": str(broken)}


def test_a_model_that_fails_costs_its_reply_and_not_the_session() -> None:
    """The first reply fails in its prefill, at 1210; its turn ends all the same, with nothing heard."""
    voices = (Voice(320, 960, "hello"), Voice(2500, 3140, "who are you"))
    replies = {"hello": LookupError("no weights"), "who are you": "A friend."}
    world = play(Scene(voices, replies, 6000))
    assert world.failures == [Failed("reply", "no weights", 0)]
    assert [(r.number, r.heard) for r in world.records] == [(0, ""), (1, "A friend.")]
    said = [(m.role, m.content) for m in world.history()[1:]]
    assert said == [("user", "hello"), ("user", "who are you"), ("assistant", "A friend.")]


def test_the_end_of_the_source_cuts_off_the_reply() -> None:
    world = World(Scene((Voice(320, 960, "tell me a story"),), {"tell me a story": STORY}, 2000), TURN).run()
    assert world.sounded() == [("Yes.", 1290, 1590), ("Once", 1590, 1890), ("upon", 1890, 2000)]


@pytest.mark.parametrize("end_ms", [700, 1000, 1060, 1120, 1180, 1220, 1240, 1280])
def test_the_source_may_end_at_any_point_of_a_turn(end_ms: int) -> None:
    world = World(Scene((Voice(320, 960, "hello"),), {"hello": "Hi. Yes?"}, end_ms), TURN)
    world.strict = []  # it may not come so far
    world.run()
    assert world.sounded() == []
    # The turn is decided at 1220: before that nothing was said, after it nothing was heard.
    assert world.history() == history(*["hello"] * (end_ms >= 1220))


def test_frames_that_come_while_listening_is_stuck_are_dropped_and_counted() -> None:
    """Stuck in the window at 320, completed by the frame at 360, until 5370: the frames from 380 to
    5360 come meanwhile, 250 of them, and the channel holds 100. Afterwards it hears as before."""
    scene = Scene((Voice(7000, 7640, "hello"),), {"hello": "Hi. Yes?"}, 10000, Timing(vad={320: 5010}))
    world = play(scene)
    assert world.session.dropped_frames == 150
    (record,) = world.records
    assert record.heard == "Hi. Yes?"
    assert world.ms(record.voice_end_ns) == pytest.approx(7640, abs=32)


def test_words_that_are_stable_are_read_ahead_and_nothing_else() -> None:
    """Partials come every 480 ms of voice. What two of them agree on is read; the reply is to all of it."""
    words = "one two three four five six seven eight nine ten"
    world = play(Scene((Voice(0, 2000, words),), {words: "Yes. There it is."}, end_ms=4000))
    ahead = world.writer.ahead
    assert ahead
    assert all(words.startswith(a) for a in ahead)
    assert [len(a) for a in ahead] == sorted({len(a) for a in ahead})
    assert len(ahead[-1].split()) < 10  # the last words were only in the final transcript


def test_no_memory_to_read_ahead_does_not_cost_the_reply() -> None:
    words = "one two three four five six seven eight nine ten"
    error = EngineOutOfMemory("2 pages")
    world = play(Scene((Voice(0, 2000, words),), {words: "Yes. There it is."}, end_ms=4000, ahead=error))
    (record,) = world.records
    assert record.heard == "Yes. There it is."
    spans = [span for span in world.recorder.spans if span.track == "read_ahead" and span.name == "failed"]
    failed = [dict(span.attributes) for span in spans]
    assert failed == [{"why": "out of memory: 2 pages"}] * len(world.writer.ahead)
    assert len(failed) >= 2  # it is tried again


def test_a_gpu_that_fails_while_it_reads_ahead_ends_the_session() -> None:
    words = "one two three four five six seven eight nine ten"
    scene = Scene((Voice(0, 2000, words),), {words: "Never."}, end_ms=4000, ahead=CudaBroken("gone"))
    world = World(scene, TURN)
    with pytest.raises(BaseExceptionGroup) as caught:
        world.run()
    assert caught.group_contains(CudaBroken)
    assert world.sounded() == []


def test_nothing_is_read_ahead_of_a_short_turn() -> None:
    world = play(Scene((Voice(0, 960, "hello"),), {"hello": "Yes. There it is."}, end_ms=3000))
    assert world.writer.ahead == []
