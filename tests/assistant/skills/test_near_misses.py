"""What sounds like a command and is none: understood by no skill, whatever was talked about before."""

from collections.abc import Sequence

import pytest
from skilled import NONE, Talk, entity

from assistant.home.scripted import ScriptedHome
from assistant.skills import Services, Skill
from assistant.skills.control import Control
from assistant.skills.house.house import House
from assistant.skills.lists import Lists

NEAR = """
turn left at the kitchen
I put milk in my coffee
he stopped
she stopped talking to me
stop me if you've heard this one
what did you say about Rome
I turned on the kitchen light
the kitchen light is broken
who turned off the lights
the lights went out in the whole street
I left the lights on yesterday
my bedroom is blue
we painted the living room blue
light blue
the bedroom is too small
bedroom two
kitchen 40
kitchen light
the front door
the thermostat
movie night
movie night was great
let's talk about movie night
I like dim light
it was a dim room
he was locked in the bedroom
the door was locked
lock in the flavor
open the discussion
open a bottle of wine
close to the kitchen
close the deal
the store is closed
is the museum open
are you open on Sundays
shut the front door, no way
turn around
turn the page
turn it over
turn me on
turn on me
my turn
whose turn is it
it turned out fine
turn your attention to the kitchen
switch to French
switch seats with me
switch off your brain
turn off everything you know about cooking and tell me a story
he turned up late
turn up at eight
turn down the offer
turned down
set the table
set the scene for me
set an example
make it so
make it quick
make it rhyme
make me laugh
make it a haiku
make it shorter
make it funnier
it is warm in Spain
what is a thermostat
what's a ceiling fan
who is a fan of jazz
I'm a big fan
are you a fan of 50 cent
what temperature does water boil at
what temperature should chicken be
how hot is the sun
how cold is it on Mars
what's the temperature on the moon
add five and seven
add salt to the water
add me to the conversation
put it on the table
put the cat out
put me on the list
what's on the wine list
what's on TV tonight
what's on your mind
read me a story
read that book
tell me a story about a list
what is a shopping list
I lost my shopping list
is Brad Pitt on the A list
the list goes on
make a list of capitals
and then he left
and what about you
and so on
milk is white
do you like butter as well
remove the stain from my shirt
take that off your shirt
check the engine
clear the table
clear my mind
delete my account
empty the bin
volume two of the encyclopedia
what's the volume of a sphere
what's the volume of a cube with side 30
the music is too loud
speak French
speak of the devil
speak slowly is an adverb phrase
talk about dogs
how fast is a cheetah
slow cookers are great
repeat after me
say hello
say that in French
what did he say
pardon my French
stop the war
stop and think
why did they stop
quiet places to study
enough is enough
that's enough sugar for me
shut up and dance is a song
never mind the gap
I never mind waiting
forget me not
mute swans are big
can you hear the sea
more or less
less is more
is it on
on and off
vacuum the pressure
nature abhors a vacuum
start the story
run a marathon
run the numbers
activate your core
50 percent of what
what's 50 percent of 80
the blinds are ugly
venetian blinds
he pulled the blinds
bring the house down
bring me a lamp
change the subject
change the topic to kitchens
change my mind
light up my life
you light up my life
it's getting dark
it's getting warmer in the north
is global warming real
how do I install a light switch
how do I turn on the oven of love
when should I lock the door
why is the kitchen light on
why are blinds called blinds
what happens if I leave the lights on
do I need a lock
""".strip().splitlines()


def everything(services: Services) -> Sequence[Skill]:
    return [Lists(services), Control(), House(services)]


@pytest.fixture(scope="module")
def talk() -> Talk:
    entities = [
        entity("kitchen light", "light", "kitchen"),
        entity("bedroom light", "light", "bedroom"),
        entity("bedside lamp", "light", "bedroom"),
        entity("living room light", "light", "living room"),
        entity("ceiling fan", "fan", "bedroom"),
        entity("thermostat", "climate", "hallway"),
        entity("front door", "lock", "hallway"),
        entity("blinds", "cover", "living room"),
        entity("movie night", "scene"),
        entity("vacuum", "vacuum"),
        entity("speaker", "media_player", "living room"),
    ]
    return Talk(everything, ScriptedHome(entities))


@pytest.mark.parametrize("says", NEAR)
def test_near_misses(talk: Talk, says: str) -> None:
    assert talk.say("never mind what I said") == NONE, "nothing was talked about"
    assert talk.say(says) == NONE


@pytest.mark.parametrize("before", ["turn on the kitchen light", "add eggs to my list", "volume up"])
def test_near_misses_after_a_command(talk: Talk, before: str) -> None:
    for says in NEAR:
        assert talk.say(before) != NONE
        assert talk.say(says) == NONE, says
