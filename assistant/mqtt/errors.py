"""What keeps the assistant from asking a broker at all. A broker that is down is none of it."""


class BrokerError(Exception):
    """The section [mqtt] names something that cannot be used. One line, which says what to change."""
