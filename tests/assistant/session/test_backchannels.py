"""What is a backchannel, and what never is."""

import pytest

from assistant.session.backchannels import is_backchannel

BACKCHANNELS = """
    Mm-hm. | Mm-hmm. | Mhm | Mmm. | Mmmm hmm | Hmm… | Uh-huh. | uh huh | Uh huh, uh huh. | Aha. | Ah. | Ahhh
    Oh. | Ohhh, okay. | Ooh, nice! | Yeah. | yeah yeah | Yeah, yeah, yeah. | Yep. | Yup | YES. | Yes, yes.
    Okay. | OK | O.K. | Oh, okay. | Ah, okay. | Okay, okay. | Right. | Right, right. | Oh, right.
    Yeah, right. | Sure. | True. | I see. | Oh, I see. | Oh i see | Oic. | Got it. | Okay, got it. | Gotcha.
    I know. | Yeah, I know. | I understand. | Understood. | Of course. | Makes sense. | Make sense
    That makes sense. | Okay, that makes sense. | Wow. | Oh wow! | Really? | Oh, really? | Interesting.
    That's interesting. | That\u2019s right. | Cool. | Great. | Nice. | Oh, nice. | Good. | Very good. | Fine.
    All right. | Alright. | Exactly. | Yes, exactly. | Absolutely. | Fair enough. | Good point. | Perfect.
    Sounds good. | Lovely. | Good to know. | Go on. | Go ahead. | Yeah, go on. | Ha. | Ha, ha! | Haha.
    Huh? | Mama. | Mom. | Mum. | Mme. | Mem. | Mmhmm. | Oh, hey, | Oh, heus. | Hehehe. | Hahaha!
"""
TURNS = """
    Stop. | Stop it. | Okay, stop. | Stop, stop. | No. | No, no. | Nope. | Yeah, no. | No way. | Wait.
    Okay, wait. | Hold on. | Hang on a second. | Enough. | Be quiet. | Quiet, please. | Shush. | Never mind.
    Cancel that. | Hello. | Hey! | Hi. | Excuse me. | Sorry? | What? | Pardon? | Why? | Really? Why? | And?
    But | So | Next. | Skip that. | Again. | Louder. | Thanks. | Okay, thanks. | Great, thank you.
    Yes, please. | Please | Yeah, but how? | Okay, and tomorrow? | Right, what about Sunday?
    I see the problem. | I know that already. | Right turn | Good morning. | Nice one, now stop.
    Sure, do it. | Go on Monday. | 5 | Okay 7 | Well done? no | Not really. | I don't know. | Of course not.
    Fine, cancel it. | I see him. | Oui. | Да. | Correct it. | Tell me more. | Oh, help! | Oh, how much?
"""


def table(text: str) -> list[str]:
    return [phrase.strip() for line in text.strip().splitlines() for phrase in line.split("|")]


@pytest.mark.parametrize("transcript", table(BACKCHANNELS))
def test_a_backchannel(transcript: str) -> None:
    assert is_backchannel(transcript)


@pytest.mark.parametrize("transcript", ["", " ", "...", "?", *table(TURNS)])
def test_no_backchannel(transcript: str) -> None:
    assert not is_backchannel(transcript)


def test_a_long_transcript_takes_no_time() -> None:
    """The alternatives overlap ("oh", "oh my"): a text that fails at its end is not tried in every way."""
    assert not is_backchannel("oh my god that's right " * 2000 + "stop")
    assert not is_backchannel("mm " * 2000 + "no")
