"""What can be wrong with what a plan is asked for."""


class PlanError(ValueError):
    """A cost file, a machine or a number that no plan can be made of; the message says which."""
