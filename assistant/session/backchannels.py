"""Backchannels: what listeners say to let a speaker go on, as a small recognizer spells it."""

import re

# Never here: what may end or change what is being said ("no", "wait", "sorry", "what", "hello", "please"),
# and what closes a conversation ("thanks").
_PHRASES = (
    # sounds
    "m", "mm", "hm", "hmm", "mhm", "huh", "ah", "aah", "aha", "oh", "ooh", "heh",
    # what the recognizer reads of "hmm", "oh, I see" and "wow"
    "hammer", "oic", "well",
    # agreement
    "yeah", "yea", "yah", "ya", "yep", "yup", "yes", "aye", "okay", "ok", "o k", "k", "kay", "right",
    "that's right", "you're right", "sure", "sure thing", "for sure", "true", "that's true", "exactly",
    "absolutely", "definitely", "totally", "certainly", "indeed", "of course", "naturally", "correct",
    "agreed", "i agree", "fair", "fair enough", "fair point", "good point", "fine", "that's fine",
    "all right", "alright",
    # understanding
    "i see", "i know", "i understand", "understood", "got it", "i got it", "gotcha", "got you", "i get it",
    "make sense", "makes sense", "that makes sense", "good to know", "noted",
    # surprise and praise
    "wow", "whoa", "really", "is that so", "oh my", "my goodness", "oh my god", "gosh", "interesting",
    "very interesting", "that's interesting", "fascinating", "amazing", "that's amazing", "incredible",
    "cool", "very cool", "that's cool", "great", "that's great", "good", "very good", "that's good", "nice",
    "very nice", "that's nice", "how nice", "lovely", "awesome", "perfect", "wonderful", "excellent",
    "brilliant", "fantastic", "beautiful", "sounds good", "that sounds good", "sounds great",
    # go on
    "go on", "go ahead", "carry on", "keep going", "continue",
)  # fmt: skip

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_DRAWN_OUT = re.compile(r"(.)\1\1+")  # "mmmm", "ohhh"
_NASAL = "m(?:[aeiou]*h?m)+[aeiouh]*"  # of "mm-hm" the recognizer makes "Mama", "Mom", "Mum", "Mme"
_BREATHED = "(?:oh|uh|ah) h[aeiou]+[a-z]?"  # of "uh-huh" it makes "Oh, hey", "Oh, heus"
_LAUGH = "(?:h[aeo])+h?"
_LISTED = map(re.escape, sorted(_PHRASES, key=len, reverse=True))  # the longest first
_ANY = "|".join([_BREATHED, *_LISTED, _NASAL, _LAUGH])
_ONE = re.compile(rf"\b(?:{_ANY}) ")


def is_backchannel(transcript: str) -> bool:
    """Whether all of `transcript` is backchannels, one or several: "Mm-hmm.", "Yeah, yeah", "Oh, okay"."""
    words = _WORD.findall(transcript.lower().replace("\u2019", "'"))
    text = "".join(_DRAWN_OUT.sub(r"\1", word) + " " for word in words)
    return text != "" and _ONE.sub("", text) == ""
