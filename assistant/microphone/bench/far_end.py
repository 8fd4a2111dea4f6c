"""What the loudspeaker says in the bench: long replies in the assistant's own voice."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assistant.audio import to_asr_rate
from tts.voice import Voice

Part = Literal["choose", "report"]
"""Parameters are chosen on one part of the material, and reported on the other."""

TEXTS: dict[Part, tuple[str, ...]] = {
    "choose": (
        "The library opens at nine on weekdays and at ten on Saturdays. It is closed on Sundays, and "
        "the reading room upstairs needs a card, which they print for you at the front desk.",
        "Boil the potatoes for fifteen minutes, then drain them and let the steam escape. Mash them "
        "with warm milk and a little butter, and season with salt and nutmeg at the very end.",
        "Mount Kilimanjaro is the tallest mountain in Africa. It rises almost six thousand meters "
        "above the plain, and its summit still carries a few small glaciers, although they are "
        "shrinking every year.",
        "Your next appointment is with the dentist, on Thursday at a quarter past two. After that, "
        "you promised to pick up the cake from the bakery, and dinner with your parents begins at "
        "seven.",
    ),
    "report": (
        "Octopuses have three hearts and blue blood. Two of the hearts pump blood through the gills, "
        "and the third one sends it around the body. When the animal swims, that third heart stops "
        "beating for a while.",
        "The train to the airport leaves every twenty minutes from platform four. With your two "
        "suitcases I would take the one at half past six, because the later ones are crowded on "
        "Friday evenings.",
        "Paper was invented in China about two thousand years ago. It travelled west along the trade "
        "routes, and the first mills in Europe were built in Spain and in Italy, where water power "
        "was cheap.",
        "To remove the stain, put some salt on it at once, and let it dry. Then soak the shirt in "
        "cold water with a spoonful of vinegar, and wash it as usual. Never use hot water before the "
        "stain is gone.",
        "Tomorrow starts cloudy with light rain along the coast. In the afternoon the sun comes "
        "through, with up to eighteen degrees, and a fresh wind from the north west which calms down "
        "after sunset.",
        "A good first exercise is the bridge. Lie on your back, bend both knees, and lift your hips "
        "slowly until your body forms a straight line. Hold it for five breaths and repeat it ten "
        "times.",
        "The novel tells the story of two families who have been enemies for as long as anyone "
        "remembers. Their children fall in love at a dance, and they marry in secret before "
        "everything goes wrong.",
        "I have added oat milk, eggs, brown rice and two lemons to your list. There are already "
        "onions on it from last week. Should I move the cleaning things to the list for the hardware "
        "store?",
        "Light needs a little more than eight minutes from the sun to the earth. From the nearest "
        "other star it takes more than four years, so we always see that star as it was in the past.",
        "Cats purr when they are content, but also when they are ill or afraid. The sound comes from "
        "small muscles in the throat that open and close about twenty five times in every second.",
    ),
}


def replies(part: Part, count: int) -> list[NDArray[np.float32]]:
    """So many replies of at least 8 s at 16 kHz, from the beginning again when all were spoken."""
    voice = Voice()
    spoken = [to_asr_rate(_speech(voice, text), voice.sample_rate) for text in TEXTS[part][:count]]
    return [spoken[number % len(spoken)] for number in range(count)]


def _speech(voice: Voice, text: str) -> NDArray[np.float32]:
    pieces = []
    for sentence in text.replace("? ", ". ").split(". "):
        utterance = voice.prepare(sentence.rstrip(".") + ".")
        if utterance is not None:
            pieces += [*voice.render(utterance), np.zeros(voice.sample_rate // 5, np.float32)]
    return np.concatenate(pieces)
