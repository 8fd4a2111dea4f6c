"""Whole conversations by microphone and loudspeaker, on scripted models and virtual time.

What is checked against is the loudspeaker's own recording, sample by sample.
"""

from collections.abc import Callable

import numpy as np
import pytest
from fake_port import OUT_LATENCY_S, FakePort
from fakes import Scene, Timing, Voice, microphone
from plain import DEAF, Plain
from rig import Rig
from scripted_wake_word import ScriptedWakeWord
from shown import Shown
from world import SYSTEM, World

from asr.stream import StreamConfig
from assistant.microphone.echo.duplex import NO_ECHO, UNKNOWN, Duplex
from assistant.microphone.front_end import TalkOptions
from assistant.microphone.talk import Talk, turn_config
from assistant.session.session import SessionConfig
from assistant.session.turn import TurnConfig
from assistant.trace.replay import Replay

TURN = TurnConfig(prepare_ms=64, min_silence_ms=250)
HELLO = "Hello there. I am fine, thanks."
STORY = "Yes. Once upon a time there was a king who slept, and slept, and slept."
PER_MS = 16


class Conversation:
    """A scene, talked. `at` are things to do at milliseconds."""

    def __init__(
        self,
        scene: Scene,
        options: TalkOptions | None = None,
        turn: TurnConfig = TURN,
        duplex: Duplex = UNKNOWN,
    ) -> None:
        self.duplex = duplex
        self.rig = Rig(FakePort(sound=microphone))
        self.world = World(scene, loop=self.rig.loop)
        self.options = options or TalkOptions(seconds=scene.end_ms / 1000)
        self.config = turn_config(turn, 128, cancelling=False, push_to_talk=self.options.push_to_talk)
        self.shown = Shown()
        self.replay = Replay((), (), 0)

    def run(self, at: dict[float, Callable[["Conversation"], None]] | None = None) -> "Conversation":
        async def main() -> None:
            watch_at = {ms: self.rig.loop.call_at(ms / 1e3, do, self) for ms, do in (at or {}).items()}
            self.talk = Talk(
                self.world._stages(),
                SessionConfig(SYSTEM, self.config, StreamConfig(partial_ms=480)),
                self.rig.streams,
                self.rig.sink,
                self.rig.loop.clock,
                self.shown,
                self.options,
                open_canceller=lambda: Plain(self.duplex),
            )
            self.world.session = self.talk.session
            self.world._listener = self.talk.session.subscribe()
            self.replay = await self.talk.run()
            for handle in watch_at.values():
                handle.cancel()

        self.rig.run(main)
        return self

    def loud(self) -> list[tuple[float, float]]:
        """From when to when (ms) the loudspeaker sounded; pauses of a word's beginning do not count."""
        stream = self.rig.port.streams[0]
        loud = np.flatnonzero(np.abs(stream.sound()) > 10 ** (-50 / 20)) / 48
        runs = np.split(loud, np.flatnonzero(np.diff(loud) > 100) + 1)
        return [(run[0] + OUT_LATENCY_S * 1e3, run[-1] + OUT_LATENCY_S * 1e3) for run in runs if len(run)]

    def press(self, key: str) -> None:
        self.talk.press(key)


def press(key: str) -> Callable[[Conversation], None]:
    return lambda talk: talk.press(key)


def test_a_turn_is_answered_and_its_wait_is_what_the_ear_waits() -> None:
    talk = Conversation(Scene((Voice(320, 960, "how are you"),), {"how are you": HELLO}, 5000)).run()
    (turn,) = talk.replay.turns
    assert (turn.transcript, turn.reply, turn.heard) == ("how are you", HELLO, HELLO)
    assert not turn.interrupted and turn.underruns == 0 and talk.replay.failures == 0
    ((begin, end),) = talk.loud()
    assert turn.ttfa_ms == pytest.approx(begin - 960, abs=1)
    words = len(HELLO.split())
    assert end - begin == pytest.approx(words * 300 - 10, abs=3)
    assert begin == pytest.approx(1315 + 15 + 60 - 20, abs=11)  # the replay's 1315, with other buffers


def test_every_line_is_printed_once() -> None:
    talk = Conversation(Scene((Voice(320, 960, "how are you"),), {"how are you": HELLO}, 5000)).run()
    first, you, assistant, wait = talk.shown.lines
    assert (first, you, assistant) == ("listening", "you:       how are you", f"assistant: {HELLO}")
    assert wait.startswith(f"           {talk.replay.turns[0].ttfa_ms:.0f} ms: endpoint.wait ")


def test_the_view_goes_through_a_turn_and_shows_words_when_they_have_sounded() -> None:
    talk = Conversation(Scene((Voice(320, 960, "how are you"),), {"how are you": HELLO}, 5000)).run()
    states = [view.state for view in talk.shown.views]
    order = [state for n, state in enumerate(states) if n == 0 or states[n - 1] != state]
    assert order == ["starting", "listening", "hearing", "thinking", "speaking", "listening"]
    replies = list(dict.fromkeys(view.reply for view in talk.shown.views if view.reply))
    words = HELLO.split()
    assert replies == [" ".join(words[:n]) for n in range(1, len(words) + 1)][: len(replies)]
    assert len(replies) >= len(words) - 1


def test_a_voice_over_the_reply_silences_it_and_what_was_heard_is_what_sounded() -> None:
    voices = (Voice(320, 960, "tell me a story"), Voice(2720, 3520, "no thank you"))
    talk = Conversation(Scene(voices, {"tell me a story": STORY, "no thank you": "Fine."}, 7000)).run()
    first, second = talk.replay.turns
    assert first.interrupted and second.transcript == "no thank you" and second.heard == "Fine."
    begin, end = talk.loud()[0]
    # 192 ms of voice are 6 windows, the last over at 2720 + 192 or within a window of it, here after 15 ms.
    assert end - (2720 + 192 + 32 + 20 + 15) < 60 + 10 + 5 + 20
    whole = int((end - begin + 10) // 300)
    assert first.heard.split() == STORY.split()[:whole]


def test_a_reply_goes_on_behind_a_backchannel_and_all_of_it_sounds() -> None:
    """Held by 192 ms of voice; "yeah" is over at 3120 and known 64 ms of silence and 100 ms later."""
    voices = (Voice(320, 960, "tell me a story"), Voice(2720, 3120, "yeah"))
    talk = Conversation(Scene(voices, {"tell me a story": STORY, "yeah": "Well."}, 9000)).run()
    (turn,) = talk.replay.turns
    assert not turn.interrupted and turn.heard == STORY and turn.underruns == 0
    (begin, held), (goes_on, end) = talk.loud()
    assert held - (2720 + 192 + 32 + 20 + 15) < 60 + 10 + 5 + 20
    assert 3120 + 64 + 100 < goes_on < 3120 + 64 + 100 + 32 + 20 + 15 + 60 + 20
    assert (held - begin) + (end - goes_on) == pytest.approx(15 * 300 - 10, abs=15)
    states = [view.state for view in talk.shown.views]
    order = [state for n, state in enumerate(states) if n == 0 or states[n - 1] != state]
    assert order[3:] == ["thinking", "speaking", "hearing", "speaking", "listening"]


@pytest.mark.parametrize("key", ["s", "\x1b", "S"])
def test_a_key_stops_the_reply_and_it_listens_on(key: str) -> None:
    voices = (Voice(320, 960, "tell me a story"), Voice(4000, 4640, "how are you"))
    scene = Scene(voices, {"tell me a story": STORY, "how are you": HELLO}, 9000)
    talk = Conversation(scene).run({2500: press(key)})
    first, second = talk.replay.turns
    assert first.interrupted and (second.transcript, second.heard) == ("how are you", HELLO)
    assert talk.loud()[0][1] <= 2500 + 10 + 60 + 10 + 5 + 10


def test_a_muted_microphone_hears_nothing_until_it_is_on_again() -> None:
    voices = (Voice(320, 960, "how are you"), Voice(3200, 3840, "tell me a story"))
    scene = Scene(voices, {"tell me a story": "Yes."}, 7000)
    talk = Conversation(scene).run({100: press("m"), 2000: press("m")})
    (turn,) = talk.replay.turns
    assert turn.transcript == "tell me a story"


def test_it_ends_when_the_user_quits_and_a_reply_is_cut_off() -> None:
    scene = Scene((Voice(320, 960, "tell me a story"),), {"tell me a story": STORY}, 60_000)
    talk = Conversation(scene).run({3000: press("q")})
    (turn,) = talk.replay.turns
    assert turn.interrupted and turn.heard and STORY.startswith(turn.heard[:-1])
    assert talk.rig.now_ms < 3200 + 60_000  # the virtual loop waits a minute for what is left behind
    assert talk.shown.lines[-2].endswith("(interrupted)")


def test_push_to_talk_takes_what_is_said_between_two_spaces() -> None:
    options = TalkOptions(seconds=6, push_to_talk=True, keys=True)
    voices = (Voice(320, 960, "not for you"), Voice(1600, 2240, "how are you"))
    scene = Scene(voices, {"how are you": HELLO}, 6000)
    talk = Conversation(scene, options).run({1500: press(" "), 2400: press(" ")})
    (turn,) = talk.replay.turns
    assert (turn.transcript, turn.heard) == ("how are you", HELLO)
    assert talk.loud()[0][0] < 2400 + 500


def test_a_space_over_the_reply_stops_it() -> None:
    options = TalkOptions(seconds=9, push_to_talk=True, keys=True)
    voices = (Voice(320, 960, "tell me a story"), Voice(3000, 3640, "how are you"))
    scene = Scene(voices, {"tell me a story": STORY, "how are you": HELLO}, 9000)
    presses = {200: press(" "), 1000: press(" "), 2800: press(" "), 3700: press(" ")}
    talk = Conversation(scene, options).run(presses)
    first, second = talk.replay.turns
    assert first.interrupted and (second.transcript, second.heard) == ("how are you", HELLO)
    assert talk.loud()[0][1] <= 2800 + 10 + 60 + 10 + 5 + 10


def test_a_device_that_is_plugged_in_again_goes_on_with_the_conversation() -> None:
    voices = (Voice(320, 960, "how are you"), Voice(7000, 7640, "tell me a story"))
    scene = Scene(voices, {"how are you": HELLO, "tell me a story": "Yes."}, 10_000)

    def unplug(talk: Conversation) -> None:
        port = talk.rig.port
        (gone,) = [device for device in port.plugged if device.inputs]
        port.plugged.remove(gone)
        port.stream("input").end()
        port.sound = lambda start, count: microphone(
            start + round(talk.rig.loop.time() * 16000) // 160 * 160, count
        )

        def plug() -> None:
            port.plugged.append(gone)
            begun = round(talk.rig.loop.time() * 16000)
            port.sound = lambda start, count: microphone(start + begun, count)

        talk.rig.loop.call_at(6.0, plug)

    talk = Conversation(scene).run({5000: unplug})
    first, second = talk.replay.turns
    assert (first.heard, second.transcript, second.heard) == (HELLO, "tell me a story", "Yes.")
    assert [line for line in talk.rig.told if line.startswith("going on")]
    assert talk.shown.lines.count("listening") == 1


def test_beside_a_loudspeaker_more_proof_is_wanted_until_300_ms_after_the_reply() -> None:
    without = turn_config(TurnConfig(), 128, cancelling=False)
    assert (without.barge_in_ms, without.echo_ms, without.detection) == (192, 300, "semantic")
    assert turn_config(TurnConfig(), 128, cancelling=True).barge_in_ms == 128
    assert turn_config(TurnConfig(echo_ms=500), 128, cancelling=True).echo_ms == 500


def test_noise_right_after_a_reply_is_no_turn_and_later_it_is() -> None:
    """The reply to the first turn is over at about 3.1 s. 128 ms of voice begin a turn, but not then."""
    quick = Timing(word=200)
    first = Voice(320, 960, "how are you")
    early, late = Voice(2656, 2784, ""), Voice(4096, 4224, "")

    def turns(noise: Voice) -> int:
        scene = Scene((first, noise), {"how are you": HELLO}, 6000, quick)
        talk = Conversation(scene).run()
        end_ms = talk.loud()[0][1]
        assert end_ms < noise.start_ms, end_ms
        return talk.world.reader.finals.count("")

    assert (turns(early), turns(late)) == (0, 1)


def test_keys_turn_the_reply_up_and_down_between_10_and_100_percent() -> None:
    """Every word of the scripted voice is at 0.25."""
    scene = Scene((Voice(320, 960, "tell me a story"),), {"tell me a story": STORY}, 6000)
    options = TalkOptions(seconds=6, keys=True)

    def many(key: str) -> Callable[[Conversation], None]:
        def press_often(talk: Conversation) -> None:
            for _ in range(20):
                talk.press(key)

        return press_often

    at = {2000.0: press("-"), 2500.0: many("-"), 3000.0: press("="), 3500.0: many("+")}
    talk = Conversation(scene, options).run(at)
    sound = talk.rig.port.streams[0].sound()
    before = (sound[48 * (ms - 400) : 48 * (ms - 20)] for ms in (2000, 2500, 3000, 3500, 4000))
    levels = [np.median(part[part > 0.01]) for part in before]
    assert levels == pytest.approx([0.25, 0.225, 0.025, 0.05, 0.25], rel=0.02)
    shown = [keys.partition("volume (")[2].partition(")")[0] for keys in talk.shown.keys]
    assert shown == ["100 %", "90 %", "10 %", "20 %", "100 %"]


def test_a_volume_below_the_last_step_is_not_turned_up_by_the_key_for_down() -> None:
    scene = Scene((), {}, 1000)

    def soft(talk: Conversation) -> None:
        talk.rig.sink.volume = 5
        talk.press("-")

    assert Conversation(scene).run({500: soft}).rig.sink.volume == 5


def test_where_nobody_speaks_nothing_is_left_behind() -> None:
    talk = Conversation(Scene((), {}, 1000)).run()  # `run_virtual` looks for tasks
    assert talk.replay.turns == () and talk.replay.dropped_frames == 0
    assert talk.shown.lines == ["listening"] and talk.loud() == []


ECHOED = "once upon a time there was a king"


@pytest.mark.parametrize(("duplex", "dropped"), [(UNKNOWN, 1), (NO_ECHO, 0)])
def test_a_turn_that_repeats_what_was_just_played_is_dropped_and_counted(
    duplex: Duplex, dropped: int
) -> None:
    """The reply begins at 1.37 s and has said the words that come back by 4 s."""
    voices = (Voice(320, 960, "tell me a story"), Voice(4096, 5120, ECHOED))
    scene = Scene(voices, {"tell me a story": STORY, ECHOED: "Really?"}, 9000)
    talk = Conversation(scene, duplex=duplex).run()
    assert talk.talk.echoes == dropped
    said = [turn.transcript for turn in talk.replay.turns]
    assert said == ["tell me a story", ECHOED][: 2 - dropped]


def test_half_a_minute_later_the_same_words_are_the_users() -> None:
    voices = (Voice(320, 960, "tell me a story"), Voice(9600, 10624, ECHOED))
    talk = Conversation(Scene(voices, {"tell me a story": STORY, ECHOED: "Really?"}, 14_000)).run()
    assert talk.talk.echoes == 0 and talk.replay.turns[1].transcript == ECHOED


def test_where_echo_cannot_be_cancelled_the_loudspeaker_interrupts_nothing_and_it_is_said_once() -> None:
    voices = (Voice(320, 960, "tell me a story"), Voice(2720, 3520, "no thank you"))
    talk = Conversation(Scene(voices, {"tell me a story": STORY}, 9000), duplex=DEAF).run()
    (turn,) = talk.replay.turns
    assert not turn.interrupted and turn.heard == STORY
    assert [line for line in talk.shown.lines if DEAF.reason in line] == [talk.shown.lines[1]]


def test_asleep_nothing_is_heard_and_behind_the_phrase_everything() -> None:
    """The phrase is detected at 2.8 s. In the fake room nothing is quiet: the first moment is taken."""
    voices = (
        Voice(320, 960, "how are you"),
        Voice(1920, 2560, "not for you"),
        Voice(3200, 3840, "how are you"),
        Voice(6720, 7360, "tell me a story"),
        Voice(15_040, 15_680, "good night"),
    )
    word = ScriptedWakeWord([2800], -100, 0)
    options = TalkOptions(seconds=18, wake_word=word, awake_s=5)
    scene = Scene(voices, {"how are you": HELLO, "tell me a story": "Yes."}, 18_000)
    talk = Conversation(scene, options).run()
    first, second = talk.replay.turns
    assert (first.transcript, first.heard) == ("how are you", HELLO)
    assert (second.transcript, second.heard) == ("tell me a story", "Yes.")
    assert talk.shown.asleep == ["", "hello there", "", "hello there"] and "listening" not in talk.shown.lines
    assert len(talk.loud()) == 2 and talk.replay.dropped_frames == 0


def test_a_long_reply_does_not_fall_asleep_and_can_be_interrupted() -> None:
    voices = (Voice(1600, 2240, "tell me a story"), Voice(6400, 7200, "no thank you"))
    options = TalkOptions(seconds=10, wake_word=ScriptedWakeWord([1000], -100, 0), awake_s=1.5)
    scene = Scene(voices, {"tell me a story": STORY, "no thank you": "Fine."}, 10_000)
    talk = Conversation(scene, options).run()
    first, second = talk.replay.turns
    assert first.interrupted and (second.transcript, second.heard) == ("no thank you", "Fine.")


def test_after_a_wait_the_wait_is_that_of_somebody_who_never_slept() -> None:
    voices = (Voice(2720, 3360, "how are you"),)
    scene = Scene(voices, {"how are you": HELLO}, 7000)
    options = TalkOptions(seconds=7, wake_word=ScriptedWakeWord([2000], -100, 0))
    (woken,) = Conversation(scene, options).run().replay.turns
    (never_slept,) = Conversation(scene).run().replay.turns
    assert woken.ttfa_ms == never_slept.ttfa_ms and woken.transcript == never_slept.transcript
