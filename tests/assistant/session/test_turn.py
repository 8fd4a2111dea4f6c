"""The turn machine, by hand on its windows of 32 ms, and any sequence of events at random."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.session.request import ReplyRequest
from assistant.session.turn import (
    AudioCleared,
    AudioCommitted,
    AudioScored,
    Command,
    Continue,
    Discard,
    Duck,
    EndTurn,
    Event,
    Held,
    Hold,
    Listening,
    NothingSaid,
    Pausing,
    Refuse,
    Release,
    Reopen,
    ReplyCancelled,
    ReplyFinished,
    ReplyHeard,
    Replying,
    ReplyRequested,
    Respond,
    Score,
    Speaking,
    Speculate,
    State,
    Stop,
    TextScored,
    Transcribed,
    TurnConfig,
    Unduck,
    Window,
)
from assistant.session.turn_table import step

WINDOW = 512
# Written out, for the numbers below are worked out from these.
CONFIG = TurnConfig(
    voice_on=0.5,
    voice_off=0.35,
    start_ms=64,
    prepare_ms=64,
    resume_ms=64,
    reversible=True,
    duck_ms=64,
    barge_in_ms=192,
    takeover_ms=1000,
    reopen_ms=500,
    silence_ms=500,
    min_silence_ms=250,
    max_silence_ms=1600,
    patience=0.5,  # a turn is over at log-odds of 2
)
FINAL = replace(CONFIG, reversible=False)
SURE = 9.0  # log-odds of the words


class Machine:
    """Runs events, and knows the time as a number of windows."""

    def __init__(self, config: TurnConfig = CONFIG) -> None:
        self.config = config
        self.state: State = Listening()
        self.windows = 0

    def hear(self, pattern: str) -> list[tuple[int, Command]]:
        """One window a character, '#' voiced; what was commanded, and after how many windows in all.

        ',' is voiced by the detector's verdict, and as quiet as silence.
        """
        commands: list[tuple[int, Command]] = []
        for character in pattern:
            self.windows += 1
            voice = {"#": 0.9, "-": 0.4, ".": 0.1, ",": 0.9}[character]
            for command in self.send(Window(self.windows * WINDOW, voice, fades=character == ",")):
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
    """Voice in windows 1 to 10, and two of silence: turn 0 is transcribed and its reply prepared."""
    machine = Machine(config)
    machine.hear("#" * 10 + "..")
    assert isinstance(machine.state, Pausing)
    return machine


def replying(config: TurnConfig = CONFIG) -> Machine:
    """The turn ended at window 18, 256 ms after the voice."""
    machine = paused(config)
    machine.send(TextScored(0, SURE))
    assert kinds(machine.hear("." * 6)) == [(18, "EndTurn"), (18, "Release")]
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


def test_a_pause_prepares_after_64_ms_from_where_the_voice_began() -> None:
    assert Machine().hear("...#####..") == [(10, Speculate(0, 3 * WINDOW, 8 * WINDOW))]


def test_a_voice_that_fades_still_speaks() -> None:
    """Between `voice_off` and `voice_on` it neither begins a turn nor ends one."""
    machine = Machine()
    assert machine.hear("----") == []
    assert machine.state == Listening()
    assert kinds(machine.hear("##" + "-" * 20 + "..")) == [(28, "Speculate")]


def test_a_window_as_quiet_as_silence_is_silence_within_a_turn() -> None:
    machine = Machine()
    assert machine.hear("#####,,") == [(7, Speculate(0, 0, 5 * WINDOW))]
    assert machine.send(TextScored(0, SURE)) == []
    # the eighth window of silence, as in the test below, whatever the detector goes on hearing
    assert machine.hear(",,,.,.") == [(13, EndTurn(0, 13 * WINDOW)), (13, Release(0))]


@pytest.mark.parametrize("before", ["", "##" + "." * 50])
def test_a_quiet_voice_begins_a_turn_as_a_loud_one_does(before: str) -> None:
    machine = Machine()
    machine.hear(before)
    machine.send(NothingSaid(0))
    windows = machine.windows
    machine.hear(",,")
    assert machine.state == Speaking(machine.state.next_number, windows * WINDOW, (windows + 2) * WINDOW)


def test_a_quiet_voice_over_a_reply_holds_it_as_a_loud_one_does() -> None:
    machine = answering()
    assert "Hold" in [kind for _, kind in kinds(machine.hear("," * 6))]


def test_a_turn_ends_at_min_silence_when_the_scores_are_high() -> None:
    machine = paused()
    assert machine.send(TextScored(0, SURE)) == []
    # 250 ms are over with the eighth window of silence, at 256 ms
    assert machine.hear("." * 6) == [(18, EndTurn(0, 18 * WINDOW)), (18, Release(0))]
    assert machine.state == Replying(1, start_sample=0, number=0)


def test_a_transcript_that_comes_late_ends_the_turn_at_once() -> None:
    """And not with the next window: the last one that was looked at ended at sample 9216."""
    machine = paused()
    assert machine.hear("......") == []
    assert machine.send(TextScored(0, 2.0)) == [EndTurn(0, 9216), Release(0)]


def test_a_transcript_that_comes_in_a_voice_waits_for_what_becomes_of_that() -> None:
    machine = paused()
    machine.hear("......#")
    assert machine.send(TextScored(0, SURE)) == []
    assert kinds(machine.hear(".")) == [(20, "EndTurn"), (20, "Release")]


def test_the_longer_the_silence_the_less_sure_need_the_words_be() -> None:
    # Log-odds of 0 want 2 of the silence. By then 1 - exp(-2) = 0.8647 of the pauses are over; that is
    # 0.25 s * (1.4 / 0.25) ** 0.8647 = 1.109 s: in the 35th window, at 1120 ms.
    machine = paused()
    machine.send(TextScored(0, 0.0))
    assert kinds(machine.hear("." * 33)) == [(45, "EndTurn"), (45, "Release")]


@pytest.mark.parametrize(("patience", "window"), [(0.0, 18), (0.5, 45), (0.9, 52), (1.0, 60)])
def test_patience_is_how_sure_it_has_to_be(patience: float, window: int) -> None:
    """At 0.9, log-odds of 3.6 are wanted: 0.9727 of the pauses are over after 1.336 s, in the 42nd window.

    At 1 4 are, more than any silence adds but the longest.
    """
    machine = paused(replace(CONFIG, patience=patience))
    machine.send(TextScored(0, 0.0))
    assert kinds(machine.hear("." * 60))[0] == (window, "EndTurn")


@pytest.mark.parametrize("patience", [-0.1, 1.1, float("nan")])
def test_patience_is_a_share(patience: float) -> None:
    with pytest.raises(ValueError, match="patience must be 0 to 1"):
        TurnConfig(patience=patience)


def test_without_a_transcript_a_turn_ends_after_the_longest_silence() -> None:
    machine = paused()
    machine.send(AudioScored(0, 1.0))
    assert machine.hear("." * 60) == [(60, EndTurn(0, 60 * WINDOW)), (60, Release(0))]  # 1600 ms


def test_words_that_want_more_end_after_the_longest_silence() -> None:
    machine = paused()
    machine.send(TextScored(0, -9.0))
    assert [w for w, c in machine.hear("." * 60) if isinstance(c, EndTurn)] == [60]


@pytest.mark.parametrize(("words", "asked"), [(-0.51, False), (-0.49, True), (1.99, True)])
def test_the_sound_is_asked_where_it_may_end_the_turn_and_the_words_do_not(words: float, asked: bool) -> None:
    """As it was at the beginning of the silence, and once."""
    machine = paused()
    machine.hear("..")
    wanted = [Score(0, 0, 10 * WINDOW + 1024)] if asked else []
    assert machine.send(TextScored(0, words)) == wanted
    assert not any(isinstance(command, Score) for _, command in machine.hear("." * 60))


def test_a_sound_that_is_complete_ends_the_turn() -> None:
    # -1.05 + 1.03 * 1.4 + 0.4 * log(0.99 / 0.01) = 2.23
    machine = paused()
    machine.send(TextScored(0, 1.4))
    assert machine.hear("......") == []
    assert machine.send(AudioScored(0, 0.99)) == [EndTurn(0, 18 * WINDOW), Release(0)]


def test_a_sound_that_is_not_complete_makes_a_turn_wait_longer() -> None:
    # -1.05 + 1.03 * 1 + 0.4 * log(0.1 / 0.9) = -0.899, and 2.899 are wanted of the silence: after
    # 0.25 * 5.6 ** (1 - exp(-2.899)) = 1.273 s, in the 40th window. The words alone would want 1: 0.743 s.
    machine = paused()
    machine.send(TextScored(0, 1.0), AudioScored(0, 0.1))
    assert kinds(machine.hear("." * 60))[0] == (50, "EndTurn")


def test_voice_in_a_pause_takes_the_turn_back() -> None:
    machine = paused()
    machine.send(TextScored(0, SURE))
    assert machine.hear("##") == [(14, Discard(0))]
    assert machine.state == Speaking(1, start_sample=0, voice_end=14 * WINDOW)
    assert machine.hear("###..") == [(19, Speculate(1, 0, 17 * WINDOW))]


def test_a_click_in_a_pause_neither_takes_the_turn_back_nor_restarts_its_silence() -> None:
    machine = paused()
    machine.send(TextScored(0, SURE))
    assert kinds(machine.hear("..#...")) == [(18, "EndTurn"), (18, "Release")]


def test_a_turn_does_not_end_in_the_middle_of_a_voice() -> None:
    machine = paused()
    machine.send(TextScored(0, SURE))
    assert "EndTurn" not in dict(kinds(machine.hear("....." + "#"))).values()  # 256 ms are over, but voiced
    assert machine.hear("#") == [(19, Discard(0))]


def test_scores_of_a_discarded_turn_do_nothing() -> None:
    """A transcript that arrives after the user has resumed must not end the turn."""
    machine = paused()
    machine.hear("##")
    before = machine.state
    assert machine.send(TextScored(0, SURE), NothingSaid(0)) == []
    assert machine.state == before


@pytest.mark.parametrize(
    "scores",
    [
        (TextScored(0, SURE),),
        (AudioScored(0, 1.0), TextScored(1, -1.0)),
        (TextScored(1, -9.0), TextScored(0, SURE)),
    ],
)
def test_scores_of_a_discarded_turn_do_not_count_for_the_next(scores: tuple[Event, ...]) -> None:
    machine = paused()
    machine.hear("##..")
    assert isinstance(machine.state, Pausing) and machine.state.number == 1
    machine.send(*scores)
    assert not any(isinstance(command, EndTurn) for _, command in machine.hear("." * 20))


def test_nothing_said_goes_back_to_listening() -> None:
    machine = paused()
    assert machine.send(NothingSaid(0)) == [Discard(0)]
    assert machine.state == Listening(1)
    machine = replying()
    assert machine.send(NothingSaid(0)) == [Discard(0)]
    assert machine.state == Listening(1)


def test_speaking_before_the_reply_is_heard_reopens_the_turn() -> None:
    machine = replying()
    assert [c for _, c in machine.hear(".##")] == [Reopen(0)]
    assert machine.state == Speaking(1, start_sample=0, voice_end=21 * WINDOW)
    assert [c for _, c in machine.hear("##..")] == [Speculate(1, 0, 23 * WINDOW)]


def test_speaking_over_a_reply_that_cannot_be_held_stops_it_and_starts_another_turn() -> None:
    machine = replying(FINAL)
    machine.send(ReplyHeard(0))
    assert machine.hear("....#####") == []  # 160 ms: a cough, a yes
    assert [(w, c) for w, c in machine.hear("#")] == [(28, Stop(0))]
    assert machine.state == Speaking(1, start_sample=22 * WINDOW, voice_end=28 * WINDOW)


def test_a_short_sound_over_a_reply_that_cannot_be_held_does_not_stop_it() -> None:
    machine = replying(FINAL)
    machine.send(ReplyHeard(0))
    assert machine.hear("#####.#####.#####.") == []
    assert isinstance(machine.state, Replying)


# A reply is ducked, held, and goes on


def answering(heard_windows: int = 30, config: TurnConfig = CONFIG) -> Machine:
    """The reply is heard from window 18 on, for so many windows of 32 ms."""
    machine = replying(config)
    machine.send(ReplyHeard(0, 18 * WINDOW))
    assert machine.hear("." * heard_windows) == []
    return machine


def holding(heard_windows: int = 30, config: TurnConfig = CONFIG) -> Machine:
    """The user has spoken for 192 ms over the reply, which has been heard for 192 ms more then."""
    machine = answering(heard_windows, config)
    begin = 18 + heard_windows
    assert machine.hear("######") == [(begin + 2, Duck(0)), (begin + 6, Hold(0))]
    return machine


def asking(heard_windows: int = 30, config: TurnConfig = CONFIG) -> Machine:
    """The user has spoken for 320 ms over it, and is silent for 64: turn 1 is transcribed."""
    machine = holding(heard_windows, config)
    begin, end = 18 + heard_windows, 28 + heard_windows
    speculated = Speculate(1, begin * WINDOW, end * WINDOW)
    assert machine.hear("####..") == [(end + 2, speculated)]
    return machine


REPLY = Replying(1, 0, 0, heard_sample=18 * WINDOW)
LATE, EARLY = 30, 9  # windows heard before the user speaks: 1152 and 480 ms when the reply is held


def test_a_click_over_a_reply_ducks_it_for_as_long_as_it_lasts() -> None:
    machine = answering()
    assert machine.hear("#.#.") == []
    assert machine.hear("##") == [(54, Duck(0))]
    assert machine.hear("###") == []
    assert machine.hear(".") == [(58, Unduck(0))]
    assert machine.state == REPLY
    assert machine.hear("##..##.") == [(60, Duck(0)), (61, Unduck(0)), (64, Duck(0)), (65, Unduck(0))]


def test_a_reply_that_nobody_has_heard_yet_is_not_ducked() -> None:
    machine = replying(replace(CONFIG, resume_ms=128))
    assert machine.hear("###") == []
    assert machine.hear("#") == [(22, Reopen(0))]


def test_a_ducked_reply_that_is_over_leaves_the_loudness_as_it_was() -> None:
    machine = answering()
    machine.hear("###")
    assert machine.send(ReplyFinished(0)) == [Unduck(0)]
    assert machine.state == Listening(1, voice_start=48 * WINDOW)


@pytest.mark.parametrize(("heard", "early"), [(LATE, False), (10, False), (EARLY, True)])
def test_a_voice_over_a_reply_holds_it_and_starts_a_turn(heard: int, early: bool) -> None:
    """Early is before 500 ms of it are heard: 10 and 6 windows are 512 ms."""
    machine = holding(heard)
    begin = 18 + heard
    held = Held(REPLY, early)
    assert machine.state == Speaking(1, begin * WINDOW, (begin + 6) * WINDOW, held)
    assert machine.hear("####") == []


@pytest.mark.parametrize("heard", [LATE, EARLY])
@pytest.mark.parametrize("event", [Transcribed(1, True), NothingSaid(1), AudioCleared()])
def test_a_reply_goes_on_after_a_backchannel_or_nothing(heard: int, event: Event) -> None:
    machine = asking(heard)
    assert machine.send(event) == [Discard(1), Continue(0)]
    assert machine.state == replace(REPLY, next_number=2)
    assert machine.send(TextScored(1, SURE), Transcribed(1, False)) == []
    assert machine.hear("......") == []
    assert machine.send(ReplyFinished(0)) == []
    assert machine.state == Listening(2)


@pytest.mark.parametrize("event", [Transcribed(1, True), NothingSaid(1)])
def test_a_voice_that_begins_when_it_was_a_backchannel_decides(event: Event) -> None:
    """A click lets the reply go on; who speaks on says one thing with what they said before."""
    machine = asking()
    machine.hear("#")
    assert machine.send(event) == []
    assert [c for _, c in machine.hear(".")] == [Discard(1), Continue(0)]
    machine = asking()
    machine.hear("#")
    begun = machine.state
    assert isinstance(begun, Pausing)
    machine.send(event)
    assert [c for _, c in machine.hear("#")] == [Discard(1)]
    assert isinstance(machine.state, Speaking)
    assert (machine.state.start_sample, machine.state.held) == (begun.start_sample, begun.held)


def test_what_the_client_takes_back_while_the_user_speaks_is_nothing() -> None:
    machine = holding()
    assert machine.send(AudioCleared()) == [Continue(0)]
    assert machine.state == REPLY


def test_a_reply_that_went_on_is_held_again_and_is_not_early_any_more() -> None:
    machine = asking(EARLY)
    machine.send(Transcribed(1, True))
    again = machine.hear("######")
    assert kinds(again) == [(41, "Duck"), (45, "Hold")]
    assert isinstance(machine.state, Speaking) and machine.state.held == Held(
        replace(REPLY, next_number=2), False
    )


def test_anything_else_stops_the_reply_before_the_turn_ends() -> None:
    machine = asking()
    assert machine.send(Transcribed(1, False)) == [Stop(0)]
    machine.send(TextScored(1, SURE))
    assert kinds(machine.hear("." * 6)) == [(66, "EndTurn"), (66, "Release")]
    assert machine.state == Replying(2, 48 * WINDOW, 1)


def test_a_voice_that_lasts_a_second_stops_the_reply_while_it_lasts() -> None:
    """It began with window 49: a second is over with window 80."""
    machine = holding()
    assert machine.hear("#" * 25) == []
    assert machine.hear("#") == [(80, Stop(0))]
    assert machine.state == Speaking(1, 48 * WINDOW, 80 * WINDOW)


def test_a_pause_in_what_the_user_says_does_not_free_the_reply() -> None:
    machine = asking()
    assert machine.hear("##") == [(62, Discard(1))]  # goes on before the transcript is there
    assert machine.send(Transcribed(1, True)) == []  # which is of another turn now
    assert isinstance(machine.state, Speaking) and machine.state.held is not None
    assert machine.hear("#" * 17) == []
    assert machine.hear("#") == [(80, Stop(0))]


def test_a_second_without_a_voice_is_no_takeover() -> None:
    machine = holding()
    machine.config = replace(CONFIG, prepare_ms=2000)
    assert machine.hear("." * 40) == []


def test_a_turn_that_ends_before_its_transcript_stops_the_reply_first() -> None:
    machine = asking(config=replace(CONFIG, detection="semantic", max_silence_ms=300))
    assert [command for _, command in machine.hear("." * 8)] == [
        Stop(0),
        EndTurn(1, 68 * WINDOW),
        Release(1),
    ]


def test_going_on_right_after_a_reply_began_is_one_turn() -> None:
    """A short continuation is known by its transcript: both are transcribed as one then."""
    machine = asking(EARLY)
    assert machine.send(Transcribed(1, False)) == [
        Discard(1),
        Reopen(0),
        Speculate(2, 0, 37 * WINDOW),
    ]
    machine.send(Transcribed(2, False), TextScored(2, SURE))
    assert kinds(machine.hear("." * 6)) == [(45, "EndTurn"), (45, "Release")]
    assert machine.state == Replying(3, 0, 2)


def test_a_long_continuation_is_one_turn_while_it_lasts() -> None:
    machine = holding(EARLY)
    assert machine.hear("#" * 25) == []
    assert machine.hear("#") == [(59, Reopen(0))]
    assert machine.state == Speaking(1, 0, 59 * WINDOW)


def test_a_reply_that_answers_no_speech_has_no_turn_to_reopen() -> None:
    machine = Machine()
    machine.hear("...")
    machine.send(ReplyRequested(), ReplyHeard(0, 3 * WINDOW))
    assert [command for _, command in machine.hear("######")] == [Duck(0), Hold(0)]
    machine.hear("..")
    assert machine.send(Transcribed(1, False)) == [Stop(0)]


@pytest.mark.parametrize("before", [holding, asking])
def test_a_client_may_stop_a_reply_that_is_held(before: Callable[[], Machine]) -> None:
    machine = before()
    state = machine.state
    assert machine.send(ReplyCancelled()) == [Stop(0)]
    assert isinstance(state, Speaking | Pausing)
    assert machine.state == replace(state, held=None)
    assert machine.send(ReplyCancelled()) == []


@pytest.mark.parametrize("before", [holding, asking])
def test_a_reply_of_which_nothing_was_left_is_held_no_more(before: Callable[[], Machine]) -> None:
    machine = before()
    state = machine.state
    assert machine.send(ReplyFinished(1)) == []
    assert machine.send(ReplyFinished(0)) == [Stop(0)]
    assert isinstance(state, Speaking | Pausing)
    assert machine.state == replace(state, held=None)


@pytest.mark.parametrize(
    ("before", "event", "commands"),
    [
        (holding, AudioCommitted(0, 60 * WINDOW), ["Stop", "Speculate", "EndTurn", "Release"]),
        (holding, ReplyRequested(), ["Stop", "Speculate", "EndTurn", "Discard", "Respond", "Release"]),
        (asking, AudioCommitted(0, 60 * WINDOW), ["Stop", "EndTurn", "Release"]),
        (asking, ReplyRequested(), ["Stop", "EndTurn", "Discard", "Respond", "Release"]),
    ],
)
def test_what_a_client_wants_while_a_reply_is_held_comes_behind_its_stop(
    before: Callable[[], Machine], event: Event, commands: list[str]
) -> None:
    assert [type(command).__name__ for command in before().send(event)] == commands


def test_a_voice_of_128_ms_does_where_the_echo_is_cancelled() -> None:
    machine = answering(config=replace(CONFIG, barge_in_ms=128))
    assert kinds(machine.hear("####")) == [(50, "Duck"), (52, "Hold")]


@pytest.mark.parametrize("heard", [False, True])
def test_without_barge_in_no_voice_stops_a_reply(heard: bool) -> None:
    machine = replying(replace(CONFIG, interrupt_response=False))
    if heard:
        machine.send(ReplyHeard(0))
    assert machine.hear("." + "#" * 100) == []
    state = machine.state
    assert isinstance(state, Replying)
    assert machine.send(ReplyFinished(0)) == []
    # The voice that went on over the reply is the beginning of the next turn.
    assert state.voice_start is not None
    assert machine.state == Speaking(1, state.voice_start, machine.windows * WINDOW)


def test_a_voice_that_stops_no_reply_is_told_of_while_it_lasts() -> None:
    """So that the client may stop it: 192 ms are six windows."""
    machine = replying(replace(CONFIG, interrupt_response=False))
    begin = machine.windows * WINDOW
    machine.hear("#####")
    assert isinstance(machine.state, Replying) and machine.state.voice_end is None
    machine.hear("##")
    assert machine.state == Replying(1, 0, 0, voice_start=begin, voice_end=begin + 7 * WINDOW)
    machine.hear(".")
    assert machine.state == Replying(1, 0, 0)
    machine.hear("######")
    assert machine.send(ReplyCancelled()) == [Stop(0)]
    assert machine.state == Speaking(1, begin + 8 * WINDOW, begin + 14 * WINDOW)


def test_after_a_reply_the_next_turn_has_the_next_number() -> None:
    machine = replying()
    machine.send(ReplyHeard(0))
    assert machine.send(ReplyFinished(0)) == []
    assert machine.state == Listening(1)
    assert [c for _, c in machine.hear("###..")] == [Speculate(1, 18 * WINDOW, 21 * WINDOW)]


def after_reply(event: ReplyFinished | ReplyCancelled, echo_ms: int = 300) -> Machine:
    """The reply is silent at window 20: an echo of it may last to sample 15040, window 29.4."""
    machine = replying(replace(CONFIG, echo_ms=echo_ms))
    machine.send(ReplyHeard(0))
    machine.hear("..")
    machine.send(event)
    assert isinstance(machine.state, Listening)
    return machine


SILENT = 20 * WINDOW


@pytest.mark.parametrize("event", [ReplyFinished(0, SILENT), ReplyCancelled(SILENT)])
def test_right_after_a_reply_a_voice_needs_the_proof_that_it_needs_over_one(
    event: ReplyFinished | ReplyCancelled,
) -> None:
    machine = after_reply(event)
    machine.hear("#####")  # 160 ms
    assert machine.state == Listening(1, 20 * WINDOW, 15040)
    machine.hear("#")
    assert machine.state == Speaking(1, 20 * WINDOW, 26 * WINDOW)


def test_when_its_echo_is_over_two_windows_are_a_voice_again() -> None:
    machine = after_reply(ReplyFinished(0, SILENT))
    machine.hear("###......#")
    assert isinstance(machine.state, Listening)
    machine.hear("#")  # window 31
    assert machine.state == Speaking(1, 29 * WINDOW, 31 * WINDOW)


def test_a_voice_that_goes_on_when_the_echo_is_over_began_where_it_began() -> None:
    machine = after_reply(ReplyFinished(0, SILENT))
    machine.hear(".......##")
    assert isinstance(machine.state, Listening)
    machine.hear("#")  # window 30
    assert machine.state == Speaking(1, 27 * WINDOW, 30 * WINDOW)


def test_without_a_loudspeaker_in_the_room_nothing_is_waited_for() -> None:
    machine = after_reply(ReplyFinished(0, SILENT), echo_ms=0)
    machine.hear("##")
    assert machine.state == Speaking(1, 20 * WINDOW, 22 * WINDOW)


def test_events_about_a_reply_before_the_present_one_do_nothing() -> None:
    machine = replying()
    machine.hear("##")  # reopened
    machine.hear("##..")
    machine.send(TextScored(1, SURE))
    machine.hear("." * 6)
    assert isinstance(machine.state, Replying)
    before = machine.state
    assert machine.send(ReplyHeard(0), ReplyFinished(0), NothingSaid(0), AudioScored(0, 1.0)) == []
    assert machine.state == before


def test_without_a_response_the_turn_ends_and_its_reply_is_dropped() -> None:
    machine = paused(replace(CONFIG, create_response=False))
    machine.send(TextScored(0, SURE))
    assert machine.hear("." * 6) == [(18, EndTurn(0, 18 * WINDOW)), (18, Discard(0))]
    assert machine.state == Listening(1)
    assert machine.send(NothingSaid(0), ReplyHeard(0), ReplyFinished(0)) == []
    assert [c for _, c in machine.hear("###..")] == [Speculate(1, 18 * WINDOW, 21 * WINDOW)]


# Silence alone decides

SILENCE = replace(CONFIG, detection="silence")


def test_silence_alone_ends_a_turn_that_nobody_scores() -> None:
    machine = Machine(SILENCE)
    assert machine.hear("#" * 10 + "..") == [(12, Speculate(0, 0, 10 * WINDOW))]
    # 500 ms are over with the 16th window of silence, at 512 ms
    assert machine.hear("." * 20) == [(26, EndTurn(0, 26 * WINDOW)), (26, Release(0))]


@pytest.mark.parametrize("words", [-9.0, 1.0, SURE])
def test_scores_do_nothing_where_silence_alone_decides(words: float) -> None:
    machine = paused(SILENCE)
    assert machine.send(TextScored(0, words), AudioScored(0, 1.0)) == []
    assert kinds(machine.hear("." * 20)) == [(26, "EndTurn"), (26, "Release")]


def test_voice_takes_a_turn_back_also_where_silence_alone_decides() -> None:
    machine = paused(SILENCE)
    assert machine.hear("." * 13 + "##") == [(27, Discard(0))]
    assert machine.hear("..") == [(29, Speculate(1, 0, 27 * WINDOW))]
    assert kinds(machine.hear("." * 13)) == []
    assert kinds(machine.hear(".")) == [(43, "EndTurn"), (43, "Release")]


def test_silence_alone_does_not_end_a_turn_in_the_middle_of_a_voice() -> None:
    machine = paused(SILENCE)
    assert machine.hear("." * 13 + "#") == []  # 512 ms are over, but voiced
    assert kinds(machine.hear(".")) == [(27, "EndTurn"), (27, "Release")]


# Nobody detects voice

NONE = replace(CONFIG, detection="none")


def test_without_detection_no_window_does_anything() -> None:
    machine = Machine(NONE)
    assert machine.hear("#" * 50 + "." * 100) == []
    assert machine.state == Listening()
    machine.send(AudioCommitted(0, 150 * WINDOW), ReplyHeard(0))
    assert machine.hear("#" * 50) == []  # not even over a reply
    assert isinstance(machine.state, Replying)


def test_without_detection_the_client_says_where_a_turn_begins_and_ends() -> None:
    machine = Machine(NONE)
    assert machine.send(AudioCommitted(700, 9000)) == [
        Speculate(0, 700, 9000),
        EndTurn(0, 9000),
        Release(0),
    ]
    assert machine.state == Replying(1, start_sample=700, number=0)
    machine.send(ReplyHeard(0), ReplyFinished(0))
    machine.config = replace(NONE, create_response=False)
    assert machine.send(AudioCommitted(9000, 9900)) == [
        Speculate(1, 9000, 9900),
        EndTurn(1, 9900),
        Discard(1),
    ]
    assert machine.state == Listening(2)


@pytest.mark.parametrize("event", [TextScored(0, SURE), AudioScored(0, 1.0)])
def test_no_score_ends_a_turn_once_detection_is_off(event: Event) -> None:
    machine = paused()
    machine.hear("......")
    machine.send(TextScored(0, 1.4))
    machine.config = NONE
    assert machine.send(event) == []


def test_a_reply_that_is_ducked_or_held_sounds_again_once_detection_is_off() -> None:
    machine = replying()
    machine.send(ReplyHeard(0))
    assert kinds(machine.hear("....##")) == [(24, "Duck")]
    machine.config = NONE
    assert kinds(machine.hear("#")) == [(25, "Unduck")]
    machine = holding()
    machine.config = NONE
    assert [c for _, c in machine.hear("#")] == [Continue(0)]


# What a client may say, in each state


def listening() -> Machine:
    machine = Machine()
    machine.hear("...#")  # one window is no voice yet
    return machine


def speaking() -> Machine:
    machine = Machine()
    machine.hear("...####.")
    return machine


COMMITTED = AudioCommitted(5, 20 * WINDOW)
ASKED = ReplyRequested(ReplyRequest("mine"))


@pytest.mark.parametrize(
    ("before", "event", "commands", "after"),
    [
        (
            listening,
            COMMITTED,
            [Speculate(0, 5, 20 * WINDOW), EndTurn(0, 20 * WINDOW), Release(0)],
            Replying(1, 5, 0),
        ),
        (listening, ReplyRequested(), [Respond(0), Release(0)], Replying(1, None, 0)),
        (
            speaking,  # where it began is known, whatever the client says
            COMMITTED,
            [Speculate(0, 3 * WINDOW, 7 * WINDOW), EndTurn(0, 20 * WINDOW), Release(0)],
            Replying(1, 3 * WINDOW, 0),
        ),
        (speaking, AudioCleared(), [], Listening(0)),
        (
            speaking,  # the client wants its reply now
            ASKED,
            [
                Speculate(0, 3 * WINDOW, 7 * WINDOW),
                EndTurn(0, 7 * WINDOW),
                Discard(0),
                Respond(1, ASKED.request),
                Release(1),
            ],
            Replying(2, None, 1),
        ),
        (replying, ASKED, [Refuse(ASKED.request)], Replying(1, 0, 0)),
        (
            replying,
            COMMITTED,
            [Stop(0), Speculate(1, 5, 20 * WINDOW), EndTurn(1, 20 * WINDOW), Release(1)],
            Replying(2, 5, 1),
        ),
        (paused, COMMITTED, [EndTurn(0, 20 * WINDOW), Release(0)], Replying(1, 0, 0)),
        (paused, AudioCleared(), [Discard(0)], Listening(1)),
        (replying, ReplyCancelled(), [Stop(0)], Listening(1)),
    ],
)
def test_what_a_client_says_is_done_at_once(
    before: Callable[[], Machine], event: Event, commands: list[Command], after: State
) -> None:
    machine = before()
    assert machine.send(event) == commands
    assert machine.state == after


@pytest.mark.parametrize(
    ("before", "event"),
    [
        (listening, AudioCleared()),
        (listening, ReplyCancelled()),
        (speaking, ReplyCancelled()),
        (paused, ReplyCancelled()),
        (replying, AudioCleared()),
    ],
)
def test_what_a_client_says_at_another_time_does_nothing(before: Callable[[], Machine], event: Event) -> None:
    machine = before()
    state = machine.state
    assert machine.send(event) == []
    assert machine.state == state


def test_a_reply_asked_for_in_a_pause_answers_the_turn_and_what_came_since() -> None:
    """What was prepared knows nothing of what the client has added."""
    machine = paused()
    assert machine.send(ReplyRequested())[0] == EndTurn(0, 6144)
    assert machine.state == Replying(next_number=2, start_sample=None, number=1)
    machine = paused()
    assert machine.send(ReplyRequested())[1:] == [Discard(0), Respond(1), Release(1)]


def test_a_client_may_end_a_turn_that_is_not_to_be_answered() -> None:
    config = replace(CONFIG, create_response=False)
    machine = Machine(config)
    machine.hear("####")
    assert machine.send(AudioCommitted(0, 4 * WINDOW)) == [
        Speculate(0, 0, 4 * WINDOW),
        EndTurn(0, 4 * WINDOW),
        Discard(0),
    ]
    machine = paused(config)
    assert machine.send(AudioCommitted(0, 12 * WINDOW)) == [EndTurn(0, 12 * WINDOW), Discard(0)]
    assert machine.send(ReplyRequested()) == [Respond(1), Release(1)]


@pytest.mark.parametrize("heard", [False, True])
def test_speaking_over_a_reply_that_was_requested_begins_another_turn(heard: bool) -> None:
    """It answers no speech, so there is no turn to take back."""
    machine = Machine(FINAL)
    machine.hear("...")
    machine.send(ReplyRequested(), *[ReplyHeard(0)] * heard)
    needed = 6 if heard else 2  # 192 or 64 ms
    assert machine.hear("#" * (needed - 1)) == []
    assert machine.hear("#") == [(3 + needed, Stop(0))]
    assert machine.state == Speaking(1, start_sample=3 * WINDOW, voice_end=(3 + needed) * WINDOW)


@pytest.mark.parametrize("heard", [False, True])
def test_a_reply_that_was_requested_finishes_like_any_other(heard: bool) -> None:
    machine = Machine()
    machine.send(ReplyRequested(), *[ReplyHeard(0)] * heard)
    assert machine.send(ReplyFinished(0)) == []
    assert machine.state == Listening(1)


@dataclass
class Ledger:
    """What the commands so far allow the next one to be, kept apart from the machine's states."""

    last: int = -1
    alive: int | None = None
    start: int | None = None  # of the turn that is alive; None if it answers no speech
    ended: bool = False
    prepared: bool = True  # with a reply, when it was speculated
    released: bool = False
    heard: bool = False
    ducked: bool = False
    held: tuple[int, int | None] | None = None  # number and start of a reply that may go on
    ended_starts: set[int] = field(default_factory=set)

    def check(self, command: Command, event: Event, config: TurnConfig) -> None:
        match command:
            case Speculate(number, start, voice_end):
                assert start < voice_end
                self._begin(number, start)
                self.prepared = config.create_response
            case Respond(number):
                assert isinstance(event, ReplyRequested) or not self.prepared
                self._begin(number, None)
                self.prepared = True
            case Refuse(request):
                assert isinstance(event, ReplyRequested) and request is event.request
                assert self.alive is not None and self.released
            case Score(number, start, _):
                assert number == self.alive and start == self.start and not self.ended
                assert config.detection == "semantic"
            case EndTurn(number):
                assert number == self.alive and not self.ended and self.held is None
                assert self.start is not None and self.start not in self.ended_starts
                self.ended = True
                self.ended_starts.add(self.start)
            case Release(number):
                assert number == self.alive and not self.released and self.held is None
                assert self.start is None or (self.ended and config.create_response)
                self.released = True
            case Discard(number):
                assert number == self.alive
                if self.ended:
                    unwanted = not config.create_response or not self.prepared
                    assert unwanted or isinstance(event, NothingSaid | ReplyRequested)
                self.alive = None
            case Duck(number):
                assert number == self.alive and self.heard and not self.ducked
                assert config.reversible and config.interrupt_response and isinstance(event, Window)
                self.ducked = True
            case Unduck(number):
                assert number == self.alive and self.ducked and isinstance(event, Window | ReplyFinished)
                self.ducked = False
                if isinstance(event, ReplyFinished):
                    self.alive = None
            case Hold(number):
                assert number == self.alive and self.released and self.heard and self.held is None
                assert config.reversible and config.interrupt_response and isinstance(event, Window)
                self.held, self.alive = (number, self.start), None
            case Continue(number):
                assert self.held == (number, self.held[1]) if self.held else False
                assert self.alive is None, "a turn that was not dropped"
                assert isinstance(event, NothingSaid | Transcribed | AudioCleared | Window)
                self.alive, self.start, self.held = number, self.held[1], None
                self.ended = self.released = self.heard = True
                self.ducked = False
            case Stop(number) if self.held and number == self.held[0]:
                self.held = None
            case Reopen(number) if self.held and number == self.held[0]:
                assert self.held[1] is not None and isinstance(event, Window | Transcribed)
                assert self.alive is None
                self.ended_starts.remove(self.held[1])
                self.held = None
            case Stop(number):
                assert number == self.alive and self.released
                assert isinstance(event, ReplyCancelled | AudioCommitted) or (
                    config.interrupt_response and (self.heard or self.start is None)
                )
                self.alive = None
            case Reopen(number):
                assert number == self.alive and self.released and not self.heard
                assert config.interrupt_response and isinstance(event, Window)
                assert self.start is not None
                self.ended_starts.remove(self.start)
                self.alive = None

    def _begin(self, number: int, start: int | None) -> None:
        assert self.alive is None and number == self.last + 1
        self.alive = self.last = number
        self.start, self.ended, self.released, self.heard = start, False, False, False
        self.ducked = False

    def note(self, event: Event) -> None:
        """What an event that brought no command means for the reply that is alive."""
        if isinstance(event, ReplyHeard | ReplyFinished) and event.number == self.alive and self.released:
            self.heard = True
            if isinstance(event, ReplyFinished):
                self.alive = None


AboutReply = AudioScored | TextScored | NothingSaid | Transcribed | ReplyHeard | ReplyFinished

probabilities = st.sampled_from([0.0, 0.1, 0.36, 0.5, 0.9, 1.0])
near = st.integers(-2, 1)  # relative to the last number, so that most events are about it
about_replies = st.one_of(
    st.builds(AudioScored, near, probabilities),
    st.builds(TextScored, near, st.sampled_from([-9.0, -0.5, 1.0, 2.0, 9.0])),
    st.builds(NothingSaid, near),
    st.builds(Transcribed, near, st.booleans()),
    st.builds(ReplyHeard, near),
    st.builds(ReplyFinished, near),
)
from_clients = st.sampled_from(
    [AudioCommitted(0, 0), AudioCleared(), ReplyRequested(), ReplyCancelled()]  # the samples come later
)
runs = st.tuples(st.sampled_from("#-."), st.integers(1, 60)).map(lambda run: run[0] * run[1])
configs = st.builds(
    replace,
    st.just(CONFIG),
    detection=st.sampled_from(["semantic", "silence", "none"]),
    create_response=st.booleans(),
    interrupt_response=st.booleans(),
    reversible=st.booleans(),
    echo_ms=st.sampled_from([0, 300]),
)


Input = str | AboutReply | Event | TurnConfig
TURN: list[Input] = ["##########..", TextScored(0, 9.0), "......"]
HEARD: list[Input] = [*TURN, ReplyHeard(0), "....."]
beginnings = st.sampled_from([[], TURN, HEARD, [*HEARD, "######"], [*HEARD, "#######.."]])


@settings(max_examples=300)
@given(
    st.one_of(st.just(CONFIG), configs),
    beginnings,
    st.lists(st.one_of(runs, about_replies, from_clients, configs), min_size=12, max_size=60),
)
def test_any_sequence_keeps_one_reply_alive_at_most(
    config: TurnConfig, beginning: list[Input], inputs: list[Input]
) -> None:
    """Beside one that is held, which goes on, or is stopped before another is heard. Also when the settings
    change in between. Numbers grow, and nothing refers to one that is over.
    """
    machine, ledger = Machine(config), Ledger()
    taken = 0  # the client commits audio that nobody has committed or cleared before
    for item in [*beginning, *inputs]:
        events: list[Event]
        now = machine.windows * WINDOW
        match item:
            case TurnConfig():
                machine.config = item
                continue
            case str():
                levels = [{"#": 0.9, "-": 0.4, ".": 0.1}[character] for character in item]
                events = [Window(now + WINDOW * n, voice) for n, voice in enumerate(levels, 1)]
                machine.windows += len(item)
            case AudioCommitted():
                if taken == now:
                    continue
                events, taken = [AudioCommitted(taken, now)], now
            case AudioCleared():
                events, taken = [item], now
            case ReplyRequested() | ReplyCancelled():
                events = [item]
            case _:
                events = [replace(item, number=ledger.last + item.number)]
                if isinstance(item, ReplyHeard):
                    events = [ReplyHeard(ledger.last + item.number, now)]
        for event in events:
            commands = machine.send(event)
            for command in commands:
                ledger.check(command, event, machine.config)
                if isinstance(command, EndTurn):
                    taken = command.decided_sample
            if not commands:
                ledger.note(event)
            assert isinstance(machine.state, Pausing | Replying) == (ledger.alive is not None)
            assert isinstance(machine.state, Replying) == (ledger.alive is not None and ledger.released)
            held = machine.state.held if isinstance(machine.state, Speaking | Pausing) else None
            assert (held.reply.number if held else None) == (ledger.held[0] if ledger.held else None)
