"""Sums as people say them: what is said in return, against Python's own arithmetic."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from said import answers, said

from assistant.skills.sums.calculate import Calculator
from assistant.skills.sums.exact import SumError
from assistant.skills.sums.numbers import tokens
from assistant.skills.sums.sums import evaluate
from tts.reading.numbers import cardinal

CALCULATOR = Calculator()
SUMS = {
    "What's 15% of 84?": "That's 12.6.",
    "12 times 9": "That's 108.",
    "what is 12 multiplied by nine": "That's 108.",
    "What's 12x9?": "That's 108.",
    "how much is 144 divided by 12": "That's 12.",
    "84 divided by 4": "That's 21.",
    "what's 7 + 5 =": "That's 12.",
    "please calculate 25 plus 3 for me": "That's 28.",
    "what does 5 plus 5 equal": "That's 10.",
    "two plus two equals": "That's 4.",
    "How much would 12 times 12 be?": "That's 144.",
    "What is 1,000 minus 37?": "That's 963.",
    "what's one hundred and twenty five times eight": "That's 1,000.",
    "3 plus 4 times 2": "That's 11.",
    "12 / 3 / 4": "That's 1.",
    "what's 12 divided by three quarters": "That's 16.",
    "minus 4 times 3": "That's minus 12.",
    "squared root of 81": "That's 9.",
    "square root of 81": "That's 9.",
    "What's the square root of 2?": "That's about 1.41.",
    "the cube root of 27": "That's 3.",
    "what's 5 squared": "That's 25.",
    "three cubed": "That's 27.",
    "2 to the power of 10": "That's 1,024.",
    "two to the tenth": "That's 1,024.",
    "2 to the power of minus 3": "That's 0.125.",
    "16 to the power of 1/4": "That's 2.",
    "what is 5 factorial": "That's 120.",
    "double 37": "That's 74.",
    "what's half of 90": "That's 45.",
    "three quarters of 60": "That's 45.",
    "what is two thirds of ninety": "That's 60.",
    "if I buy 6 at $2.49 each how much is that": "That's $14.94.",
    "how much are 3 tickets at $12.50 each": "That's $37.50.",
    "what do 4 coffees at 3 dollars apiece come to": "That's $12.",
    "a dozen eggs at 30 cents each": "That's $3.60.",
    "what's 20 percent off 60": "That's 48.",
    "take 15% off $80": "That's $68.",
    "80 plus 15 percent": "That's 92.",
    "increase 80 by 15 percent": "That's 92.",
    "what percent of 80 is 20": "That's 25 percent.",
    "12 is what percent of 48": "That's 25 percent.",
    "what's 3/8 as a percentage": "That's 37.5 percent.",
    "what's 3/4 as a decimal": "That's 0.75.",
    "what's the average of 3, 5 and 10": "That's 6.",
    "what is the sum of 14 and 28": "That's 42.",
    "difference between 5 and 12": "That's 7.",
    "subtract 5 from 12": "That's 7.",
    "add 5 and 7": "That's 12.",
    "what do you get if you multiply 6 by 7": "That's 42.",
    "what's the remainder when 17 is divided by 5": "That's 2.",
    "how many times does 7 go into 84": "That's 12.",
    "add 12, 15 and 20 together": "That's 47.",
    "average 80, 90 and 100": "That's 90.",
    "what's 10 less than 50": "That's 40.",
    "what is 5 more than 12": "That's 17.",
    "can you tell me what 45 times 12 is": "That's 540.",
    "8 times 7 equals what": "That's 56.",
    "one third plus one sixth": "That's 0.5.",
    "100 divided by 3": "That's about 33.33.",
    "2 times pi": "That's about 6.28.",
    "$19.99 times 3": "That's $59.97.",
    "10 dollars and 50 cents times 3": "That's $31.50.",
    "15 percent of $84.50": "That's about $12.68.",
    "$1.5 million times 3": "That's $4,500,000.",
    "100 dollars divided by 5 dollars": "That's 20.",
    "split 84 dollars between 4 people": "That's $21 each.",
    "split a $120 bill three ways": "That's $40 each.",
    "$100 split 3 ways": "That's about $33.33 each.",
    "how much does everyone pay if we split 90 dollars among 3": "That's $30 each.",
    "a 15% tip on $80": "The tip is $12, which makes $92.",
    "what's a 20 percent tip on a 45 dollar bill": "The tip is $9, which makes $54.",
    "what's $80 plus a 15% tip": "That's $92.",
    "How much should I tip on a $50 bill at 20%?": "The tip is $10, which makes $60.",
    "8 percent sales tax on 50 dollars": "The sales tax is $4, which makes $54.",
    "20% discount on $60": "The discount is $12, which leaves $48.",
}
NO_ANSWER = {
    "what is 5 divided by 0": "Nothing can be divided by zero.",
    "0 to the power of minus 1": "Nothing can be divided by zero.",
    "9 to the power of 9 to the power of 9": "That number is too large for me to work out.",
    "factorial of 100000": "That number is too large for me to work out.",
    "square root of minus 4": "A negative number has no real square root.",
}
FOLLOW_UPS = (
    (("12 times 9", "times two"), "That's 216."),
    (("12 times 9", "and divided by three"), "That's 36."),
    (("12 times 9", "plus 5", "what about 30"), "That's 138."),
    (("12 times 9", "double that"), "That's 216."),
    (("12 times 9", "square it"), "That's 11,664."),
    (("12 times 9", "subtract 8 from that"), "That's 100."),
    (("12 times 9", "add 7"), "That's 115."),
    (("12 times 9", "what's half of that"), "That's 54."),
    (("12 times 9", "what's 5 plus 5"), "That's 10."),
    (("100 divided by 3", "times 3"), "That's 100."),
    (("15% tip on $80", "what about 20%"), "The tip is $16, which makes $96."),
    (("15% tip on $80", "and for $100"), "The tip is $15, which makes $115."),
    (("split $84 between 4 people", "what about 6"), "That's $14 each."),
    (("15 percent of 80", "plus 5"), "That's 17."),
    (("$84 divided by 4", "times two"), "That's $42."),
    (("12 times 9", "what about the weather"), None),
    (("12 times 9", "what is it"), None),
    (("12 times 9", "add milk"), None),
    (("times two",), None),
    (("what about 30",), None),
    (("double that",), None),
)
NEAR_MISSES = """
    I have two dogs and three cats; what is the meaning of life; what's up; how many legs does a spider have
    what is 5; what's half; fifteen percent; three quarters; 12 times; what's 12 times; times; plus
    add two eggs to my shopping list; add milk; add 5 minutes; add two; set a timer for five minutes
    what is 9/11; 9-1-1; 555-1234; 12/25/2026; what's 3/4; 1/2; what's 24/7; 50/50; what is a 4x4
    four by four
    nine to five; seven eleven
    catch 22; 7 up; 911
    split the bill; split it; split 84 dollars; divide and conquer; split the kids between two cars
    double check that; take five; give me five; high five; one moment; just a second; one two three
    what's the root of all evil; square one; back to square one; the power of love; to the power
    what's the average temperature in May; average of 5; sum of all fears; difference between cats and dogs
    half past ten; quarter to five; five minus; minus; negative; half an hour; half of the time; half of them
    what should I tip on $60; tip of the iceberg; a tip on cooking; leave a tip; 20 percent chance of rain
    how much is a gallon of milk; how much is it; how much is that; how much is 5 dollars in euros
    what is the square root; square root of potatoes; factorial; what percent of people are left handed
    is 17 prime; what's the next prime after 7; how many times a day should I eat; what time is it
    two plus two is five in 1984; over and out; over; it's over; times are hard; the new york times
    times square; what's 3 and
    5 dollars plus 3 euros; five dollars times five dollars; eight ate nine; to be or not to be; for 5
    what's the difference between a duck; what's 10 miles in kilometers; four score and seven years ago
    one of two; percent of; 5 of 7; what is 5 of; three to one; what's a third; third time's the charm
    take two from the top; increase the volume by 10; set it to 50 percent
    reduce the brightness by 20 percent; turn the lights to half
    I'm 25 years old; call 911; what is 747; 42; room 101; is it 5 yet; 10 4
    what's 5 apples plus 3 pears; multiply; what's the product of our love; mean of; what do you mean
    they were 60 dollars each; kids under 5 are 3 dollars each; we paid 5 dollars each; 6 at the market each
    the square root of minus one in my heart; divide 5 by 0 people; factorial of half my age
"""


@pytest.mark.parametrize(("sentence", "text"), (SUMS | NO_ANSWER).items())
def test_a_sum_is_worked_out(sentence: str, text: str) -> None:
    assert said(CALCULATOR, sentence) == text


@pytest.mark.parametrize(("sentences", "text"), FOLLOW_UPS)
def test_a_sum_goes_on_from_the_last(sentences: tuple[str, ...], text: str | None) -> None:
    assert said(CALCULATOR, *sentences) == text


@pytest.mark.parametrize("sentence", [part.strip() for part in NEAR_MISSES.replace("\n", ";").split(";")])
def test_what_is_no_sum_is_declined(sentence: str) -> None:
    assert said(CALCULATOR, sentence) is None


def test_the_slots_have_the_sum_and_its_exact_result() -> None:
    (answer,) = answers(CALCULATOR, "what's 15 percent of 80 dollars")
    assert answer is not None and answer.intent is not None
    assert answer.intent.name == "Calculate"
    assert dict(answer.intent.slots) == {"expression": "15 percent of 80 dollars", "result": "12 dollars"}


SIGNS = {"+": "+", "-": "-", "*": "\N{MULTIPLICATION SIGN}", "/": "/"}
WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
Pair = tuple[str, str]
"""A sum as it is spoken, and as Python works it out."""


def sums(signs: dict[str, str], numbers: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    def joined(parts: tuple[Pair, str, Pair]) -> Pair:
        (left, left_python), sign, (right, right_python) = parts
        return f"{left} {signs[sign]} {right}", f"{left_python} {sign} {right_python}"

    def grouped(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
        closed = inner.map(lambda pair: (f"({pair[0]})", f"({pair[1]})"))
        return st.tuples(inner | closed, st.sampled_from("+-*/"), inner | closed).map(joined)

    return st.recursive(numbers, grouped, max_leaves=8)


def value_of(python: str) -> Fraction | None:
    try:
        return Fraction(eval(python, {"Fraction": Fraction}))
    except ZeroDivisionError:
        return None


def worked_out(text: str) -> Fraction | None:
    try:
        amount = evaluate(text)
    except SumError:
        return None
    assert amount is not None, text
    return amount.value


IN_WORDS = st.integers(0, 10**9).map(lambda n: (cardinal(n), f"Fraction({n})"))
IN_FIGURES = st.decimals(0, 10**6, places=2).map(lambda n: (str(n), f"Fraction('{n}')"))


@given(sums(WORDS, IN_WORDS | IN_FIGURES).filter(lambda pair: " " in pair[1]))
def test_any_sum_in_words_is_exact(pair: Pair) -> None:
    assert worked_out(f"0 plus {pair[0]}") == value_of(f"0 + {pair[1]}")


@given(sums(SIGNS, IN_FIGURES).filter(lambda pair: " " in pair[1]))
def test_any_sum_in_figures_is_exact(pair: Pair) -> None:
    assert worked_out(pair[0]) == value_of(pair[1])


PIECES = tokens("of the two half percent square root to power times that and 9 ^ / ( ) minus split by")


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join) | st.text("019+-*/^(). ", max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    said(CALCULATOR, "12 times 9", text)


def test_a_long_speech_is_no_sum() -> None:
    assert said(CALCULATOR, "split 5 between 2 with 3 of 4 and " * 300 + "5 people") is None


def test_powers_of_powers_end_soon() -> None:
    with pytest.raises(SumError):
        evaluate("(2^0.999)" + "^999" * 5)
