"""The words of sums, and what they mean to `sums`."""

from collections.abc import Sequence

Table = Sequence[tuple[Sequence[str], str]]


def _table(lines: str) -> Table:
    """Words and what they mean, of lines such as "*: times, multiplied by"."""
    rows = (line.split(":") for line in lines.strip().splitlines())
    return tuple((words.split(), meaning.strip()) for meaning, many in rows for words in many.split(","))


ADDITIVE = _table(
    """+: plus, +, added to, and add
    -: minus, -, \N{MINUS SIGN}, less, take away, subtract, and subtract, and take away"""
)
MULTIPLICATIVE = _table(
    """*: times, time, multiplied by, multiply by, x, *, \N{MULTIPLICATION SIGN}
    /: divided by, divide by, over, /, ÷
    %: mod, modulo"""
)
PREFIXES = _table(
    """root 2: square root of, squared root of, square root, root of, √
    root 3: cube root of, cubed root of, cube root
    power 2: square of
    power 3: cube of
    factorial: factorial of
    times 2: double, twice
    times 3: triple"""
)
POSTFIXES = _table(
    """power 2: squared
    power 3: cubed
    factorial: factorial
    times 2: doubled
    times 3: tripled
    half: halved"""
)
LISTS = _table(
    """mean: average of, mean of
    sum: sum of, total of
    product: product of
    difference: difference between, difference of"""
)
POWERS = _table("""power: raised to the power of, to the power of, raised to the power, to the power, ^""")
FORMS = _table(
    """percent: as a percentage, as a percent
    decimal: as a decimal"""
)
