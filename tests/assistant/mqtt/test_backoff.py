"""How long the assistant waits before it tries the broker again."""

from random import Random

from assistant.mqtt.broker import backoff_s


def test_the_wait_doubles_to_a_minute_and_two_assistants_do_not_wait_alike() -> None:
    for failures in range(40):
        most = min(2.0**failures, 60.0)
        waits = [backoff_s(failures, Random(seed)) for seed in range(50)]
        assert all(most / 2 <= wait <= most for wait in waits)
        assert len(set(waits)) == 50
