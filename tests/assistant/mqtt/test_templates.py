"""Templates that anyone may have published: those that devices have, and those that would never end."""

import json

import pytest

from assistant.mqtt.fields import Invalid
from assistant.mqtt.templates import compile_template


@pytest.mark.parametrize(
    ("source", "payload", "text"),
    [
        ("{{ value }}", "ON", "ON"),
        ("{{ value_json.state }}", {"state": "ON"}, "ON"),
        ("{{value_json['a']['b']|float|round(2)}}", {"a": {"b": "2.346"}}, "2.35"),
        ("{{ value_json.a | is_defined }}", {"a": 1}, "1"),
        ("{{ value_json.a | default('none') }}", {}, "none"),
        ("{{ 'ON' if value_json.on else 'OFF' }}", {"on": False}, "OFF"),
        ("{% if value_json.x > 5 %}high{% else %}low{% endif %}", {"x": 6}, "high"),
        ("{% set m = {'a': 'heat'} %}{{ m[value_json.mode] }}", {"mode": "a"}, "heat"),
        ("{{ (value | int) * 2 + 1 }}", "20", "41"),
        ("{{ value_json.b / 255 * 100 }}", {"b": 51}, "20.0"),
        ("{{ value_json.missing }}", {}, ""),
    ],
)
def test_what_devices_publish_is_rendered(source: str, payload: object, text: str) -> None:
    raw = payload if isinstance(payload, str) else json.dumps(payload)
    assert compile_template(source)(value=raw, value_json=payload) == text


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
        "{{ range(10) | list }}",
        "{{ 10 ** 10 }}",
        "{{ value.__class__.__mro__() }}",
        "{{ 'x' ~ 'y' }}",
        "{{ value | map('upper') }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% include 'x' %}",
        "{{ lipsum() }}",
        "{{ '%999999999d' | format(1) }}",
        "{{",
        "{{ " + "(" * 900 + "1" + ")" * 900 + " }}",
        "x" * 3000,
    ],
)
def test_what_could_take_long_is_refused(source: str) -> None:
    with pytest.raises(Invalid):
        compile_template(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ value * 1000000000 }}",
        "{{ 'x' * 1000000000 }}",
        "{% set x = 'ab' %}" + "{% set x = x + x %}" * 60 + "{{ x }}",
        "{% set x = 1000000 %}" + "{% set x = x * x %}" * 60 + "{{ x }}",
        "{{ '%999999999d' % 1 }}",
        "{{ 5 | round(-1000000000) + 'a' }}",
        "{{ value | int }}",
        "{{ value_json.a.b }}",
        "{{ 1 / 0 }}",
        "{{ value.__class__.x }}",
    ],
)
def test_what_does_not_fit_is_no_text(source: str) -> None:
    with pytest.raises(Invalid):
        compile_template(source)(value="on", value_json={})
