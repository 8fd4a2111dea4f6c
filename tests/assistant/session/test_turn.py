"""The turn machine, by hand on its windows of 32 ms, and any sequence of events at random."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.session.turn import (
    Abandon,
    AudioScored,
    Command,
    Commit,
    Event,
    Interrupt,
    Listening,
    NothingSaid,
    Pausing,
    Prepare,
    ReplyFinished,
    ReplyHeard,
    Replying,
    Score,
    Speaking,
    State,
    TextScored,
    TurnConfig,
    Window,
    completeness,
    step,
    threshold,
)

WINDOW = 512
# Written out, for the numbers below are worked out from these.
CONFIG = TurnConfig(
    voice_on=0.5,
    voice_off=0.35,
    start_ms=64,
    prepare_ms=64,
    resume_ms=64,
    barge_in_ms=192,
    min_silence_ms=250,
    max_silence_ms=1600,
    rescore_ms=192,
    strict=3.0,
    lenient=-4.0,
    audio_weight=1.0,
    text_weight=2.0,
    text_bias=1.7,
)
SURE = 0.999


class Machine:
    """Runs events, and knows the time as a number of windows."""

    def __init__(self, config: TurnConfig = CONFIG) -> None:
        self.config = config
        self.state: State = Listening()
        self.windows = 0

    def hear(self, pattern: str) -> list[tuple[int, Command]]:
        """One window a character, '#' voiced; what was commanded, and after how many windows in all."""
        commands: list[tuple[int, Command]] = []
        for character in pattern:
            self.windows += 1
            voice = {"#": 0.9, "-": 0.4, ".": 0.1}[character]
            for command in self.send(Window(self.windows * WINDOW, voice)):
                commands.append((self.windows, command))
        return commands

    def send(self, *events: Event) -> list[Command]:
        commands: list[Command] = []
        for event in events:
            self.state, more = step(self.state, event, self.config)
            commands.extend(more)
        return commands


def kinds(commands: Iterable[tuple[int, Command]]) -> list[tuple[int, str]]:
    return [(window, type(command).__name__) for window, command in commands]


def paused(config: TurnConfig = CONFIG) -> Machine:
    """Voice in windows 1 to 10, and two of silence: reply 0 is being prepared."""
    machine = Machine(config)
    machine.hear("#" * 10 + "..")
    assert isinstance(machine.state, Pausing)
    return machine


def replying(config: TurnConfig = CONFIG) -> Machine:
    """The turn ended at window 18, 256 ms after the voice."""
    machine = paused(config)
    machine.send(AudioScored(0, SURE), TextScored(0, SURE))
    assert kinds(machine.hear("." * 6)) == [(18, "Commit")]
    return machine


def test_silence_does_nothing() -> None:
    machine = Machine()
    assert machine.hear("." * 1000) == []
    assert machine.state == Listening()


def test_a_click_of_one_window_is_not_a_turn() -> None:
    machine = Machine()
    assert machine.hear("...#...#...#.....") == []
    assert machine.state == Listening()


def test_two_windows_begin_a_turn_where_the_first_of_them_began() -> None:
    machine = Machine()
    machine.hear("...##")
    assert machine.state == Speaking(0, start_sample=3 * WINDOW, voice_end=5 * WINDOW)


def test_a_pause_prepares_and_scores_after_64_ms_from_where_the_voice_began() -> None:
    commands = Machine().hear("...#####..")
    assert commands == [(10, Prepare(0, 3 * WINDOW, 8 * WINDOW)), (10, Score(0, 3 * WINDOW))]


def test_a_voice_that_fades_still_speaks() -> None:
    """Between `voice_off` and `voice_on` it neither begins a turn nor ends one."""
    machine = Machine()
    assert machine.hear("----") == []
    assert machine.state == Listening()
    assert kinds(machine.hear("##" + "-" * 20 + "..")) == [(28, "Prepare"), (28, "Score")]


def test_a_turn_ends_at_min_silence_when_the_scores_are_high() -> None:
    machine = paused()
    assert machine.send(AudioScored(0, SURE), TextScored(0, SURE)) == []
    # 250 ms are over with the eighth window of silence, at 256 ms
    assert machine.hear("." * 6) == [(18, Commit(0, 18 * WINDOW))]
    assert machine.state == Replying(1, start_sample=0, reply=0)


def test_the_threshold_falls_slowly_at_first() -> None:
    config = replace(CONFIG, min_silence_ms=200, max_silence_ms=1200, strict=3.0, lenient=-4.0)
    assert [threshold(ms, config) for ms in (0, 200, 700, 1200, 9999)] == [3.0, 3.0, 3 - 7 / 8, -4.0, -4.0]


def test_completeness_adds_log_odds() -> None:
    config = replace(CONFIG, audio_weight=1.0, text_weight=2.0, text_bias=1.7)
    # log(0.9 / 0.1) = 2.19722, log(0.2 / 0.8) = -1.38629
    assert completeness(0.9, 0.2, config) == pytest.approx(2.19722 + 2 * (-1.38629 + 1.7), abs=1e-4)
    assert -100 < completeness(0.0, 0.0, config) < completeness(1.0, 1.0, config) < 100


def test_a_middling_score_waits_for_the_threshold_to_fall() -> None:
    # Completeness 0 with even scores and no bias; the threshold 3 - 7 * ((t - 250) / 1350) ** 3 is 0 at
    # 1267.8 ms of silence: in the 40th window, at 1280 ms.
    machine = paused(replace(CONFIG, text_bias=0.0, rescore_ms=10_000))
    machine.send(AudioScored(0, 0.5), TextScored(0, 0.5))
    assert kinds(machine.hear("." * 38)) == [(50, "Commit")]


@pytest.mark.parametrize("known", [(), (AudioScored(0, SURE),), (TextScored(0, SURE),)])
def test_a_turn_does_not_end_early_on_half_the_evidence(known: tuple[Event, ...]) -> None:
    """Without a text score there is no transcript, and without transcript there is no reply to hear."""
    machine = paused()
    machine.send(*known)
    commits = [command for command in machine.hear("." * 60) if isinstance(command[1], Commit)]
    assert commits == [(60, Commit(0, 60 * WINDOW))]  # 1600 ms after window 10: max_silence_ms


def test_low_scores_end_at_max_silence() -> None:
    machine = paused()
    machine.send(AudioScored(0, 0.0), TextScored(0, 0.0))
    assert [w for w, c in machine.hear("." * 60) if isinstance(c, Commit)] == [60]


def test_the_turn_is_scored_again_while_the_silence_lasts() -> None:
    machine = paused()
    assert machine.hear("....") == []  # the first score has not come yet
    machine.send(AudioScored(0, 0.1), TextScored(0, 0.1))
    # 192 ms are six windows; the first score was asked at window 12
    assert kinds(machine.hear("." * 10)) == [(18, "Score"), (24, "Score")]
    machine.send(AudioScored(0, SURE), TextScored(0, SURE))
    assert kinds(machine.hear(".")) == [(27, "Commit")]


def test_voice_in_a_pause_takes_the_turn_back() -> None:
    machine = paused()
    machine.send(AudioScored(0, SURE), TextScored(0, SURE))
    assert machine.hear("##") == [(14, Abandon(0))]
    assert machine.state == Speaking(1, start_sample=0, voice_end=14 * WINDOW)
    assert machine.hear("###..") == [(19, Prepare(1, 0, 17 * WINDOW)), (19, Score(1, 0))]


def test_a_click_in_a_pause_neither_takes_the_turn_back_nor_restarts_its_silence() -> None:
    machine = paused()
    machine.send(AudioScored(0, SURE), TextScored(0, SURE))
    assert kinds(machine.hear("..#...")) == [(18, "Commit")]


def test_a_turn_does_not_end_in_the_middle_of_a_voice() -> None:
    machine = paused()
    machine.send(AudioScored(0, SURE), TextScored(0, SURE))
    assert "Commit" not in dict(kinds(machine.hear("....." + "#"))).values()  # 256 ms are over, but voiced
    assert machine.hear("#") == [(19, Abandon(0))]


def test_scores_of_an_abandoned_candidate_do_nothing() -> None:
    """A transcript that arrives after the user has resumed must not end the turn."""
    machine = paused()
    machine.hear("##")
    before = machine.state
    assert machine.send(AudioScored(0, SURE), TextScored(0, SURE), NothingSaid(0)) == []
    assert machine.state == before


@pytest.mark.parametrize(
    "scores",
    [
        (AudioScored(0, SURE), TextScored(0, SURE)),
        (AudioScored(0, SURE), TextScored(1, SURE)),
        (AudioScored(1, SURE), TextScored(0, SURE)),
        (AudioScored(1, 0.0), TextScored(1, 0.0), AudioScored(0, SURE), TextScored(0, SURE)),
    ],
)
def test_scores_of_an_abandoned_candidate_do_not_count_for_the_next(scores: tuple[Event, ...]) -> None:
    machine = paused()
    machine.hear("##..")
    assert isinstance(machine.state, Pausing) and machine.state.reply == 1
    machine.send(*scores)
    assert not any(isinstance(command, Commit) for _, command in machine.hear("." * 20))


def test_nothing_said_goes_back_to_listening() -> None:
    machine = paused()
    assert machine.send(NothingSaid(0)) == [Abandon(0)]
    assert machine.state == Listening(1)
    machine = replying()
    assert machine.send(NothingSaid(0)) == [Abandon(0)]
    assert machine.state == Listening(1)


def test_speaking_before_the_reply_is_heard_reopens_the_turn() -> None:
    machine = replying()
    assert [c for _, c in machine.hear(".##")] == [Interrupt(0, heard=False)]
    assert machine.state == Speaking(1, start_sample=0, voice_end=21 * WINDOW)
    assert [c for _, c in machine.hear("##..")] == [Prepare(1, 0, 23 * WINDOW), Score(1, 0)]


def test_speaking_over_a_reply_stops_it_and_starts_another_turn() -> None:
    machine = replying()
    machine.send(ReplyHeard(0))
    assert machine.hear("....#####") == []  # 160 ms: a cough, a yes
    assert [(w, c) for w, c in machine.hear("#")] == [(28, Interrupt(0, heard=True))]
    assert machine.state == Speaking(1, start_sample=22 * WINDOW, voice_end=28 * WINDOW)


def test_a_short_sound_over_a_reply_does_not_stop_it() -> None:
    machine = replying()
    machine.send(ReplyHeard(0))
    assert machine.hear("#####.#####.#####.") == []
    assert isinstance(machine.state, Replying)


@pytest.mark.parametrize("heard", [False, True])
def test_without_barge_in_nothing_stops_a_reply(heard: bool) -> None:
    machine = replying(replace(CONFIG, barge_in=False))
    if heard:
        machine.send(ReplyHeard(0))
    assert machine.hear("." + "#" * 100) == []
    state = machine.state
    assert isinstance(state, Replying)
    assert machine.send(ReplyFinished(0)) == []
    # The voice that went on over the reply is the beginning of the next turn.
    assert state.voice_start is not None
    assert machine.state == Listening(1, state.voice_start)
    machine.hear("#")
    assert isinstance(machine.state, Speaking) and machine.state.start_sample == state.voice_start


def test_after_a_reply_the_next_turn_has_the_next_number() -> None:
    machine = replying()
    machine.send(ReplyHeard(0))
    assert machine.send(ReplyFinished(0)) == []
    assert machine.state == Listening(1)
    assert [c for _, c in machine.hear("###..")] == [
        Prepare(1, 18 * WINDOW, 21 * WINDOW),
        Score(1, 18 * WINDOW),
    ]


def test_events_about_a_reply_before_the_present_one_do_nothing() -> None:
    machine = replying()
    machine.hear("##")  # reopened
    machine.hear("##..")
    machine.send(AudioScored(1, SURE), TextScored(1, SURE))
    machine.hear("." * 6)
    assert isinstance(machine.state, Replying)
    before = machine.state
    assert machine.send(ReplyHeard(0), ReplyFinished(0), NothingSaid(0), AudioScored(0, 1.0)) == []
    assert machine.state == before


AboutReply = AudioScored | TextScored | NothingSaid | ReplyHeard | ReplyFinished

probabilities = st.sampled_from([0.0, 0.1, 0.36, 0.5, 0.9, 1.0])
about_replies = st.one_of(
    st.builds(AudioScored, st.integers(-2, 1), probabilities),
    st.builds(TextScored, st.integers(-2, 1), probabilities),
    st.builds(NothingSaid, st.integers(-2, 1)),
    st.builds(ReplyHeard, st.integers(-2, 1)),
    st.builds(ReplyFinished, st.integers(-2, 1)),
)
runs = st.tuples(st.sampled_from("#-."), st.integers(1, 60)).map(lambda run: run[0] * run[1])


@given(st.lists(st.one_of(runs, about_replies), max_size=60), st.booleans())
def test_any_sequence_keeps_one_reply_alive_at_most(inputs: list[str | AboutReply], barge_in: bool) -> None:
    """The numbers in `inputs` are relative to the last reply, so that most events are about it or near."""
    machine = Machine(replace(CONFIG, barge_in=barge_in))
    alive: int | None = None
    last, committed = -1, False
    for item in inputs:
        if isinstance(item, str):
            commands = [command for _, command in machine.hear(item)]
        else:
            event = replace(item, reply=last + item.reply)
            finishes = isinstance(event, ReplyFinished) and event.reply == alive and committed
            commands = machine.send(event)
            if finishes:
                assert commands == []
                alive, committed = None, False
        for command in commands:
            match command:
                case Prepare(reply, start, voice_end):
                    assert alive is None and reply == last + 1 and start < voice_end
                    alive, last, committed = reply, reply, False
                case Commit(reply):
                    assert reply == alive and not committed
                    committed = True
                case Abandon(reply):
                    assert reply == alive
                    alive, committed = None, False
                case Interrupt(reply):
                    assert reply == alive and committed and barge_in
                    alive, committed = None, False
                case Score(reply):
                    assert reply == alive and not committed
        assert isinstance(machine.state, Pausing | Replying) == (alive is not None)
