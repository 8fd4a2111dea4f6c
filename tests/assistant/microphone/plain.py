"""An echo canceller that takes out nothing and holds back nothing, with the verdict that a test wants."""

from assistant.microphone.devices.port import Audio
from assistant.microphone.echo.canceller import Cleaned, EchoCanceller
from assistant.microphone.echo.duplex import UNKNOWN, Duplex

DEAF = Duplex("half duplex", "the loudspeaker is too loud: turn it down")


class Plain(EchoCanceller):
    def __init__(self, duplex: Duplex = UNKNOWN) -> None:
        super().__init__(None)
        self.duplex = duplex

    def push(self, microphone: Audio, reference: Audio) -> Cleaned:
        return Cleaned(microphone, microphone)
