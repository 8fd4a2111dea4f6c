"""A turn of the user and the reply to it: their tasks, and what of them is in the conversation."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from assistant.session.conversation import AssistantItem, Conversation, ToolCall, UserItem
from assistant.session.events import (
    ReplyCalled,
    ReplyContinued,
    ReplyDiscarded,
    ReplyDone,
    ReplyDropped,
    ReplyHeld,
    ReplyStarted,
    SessionEvent,
    SpeechStopped,
)
from assistant.session.reply import Reply
from assistant.session.request import ReplyRequest
from assistant.session.stages import Utterance
from assistant.session.user_turn import UserTurn


@dataclass
class Exchange:
    """As far as there is a turn, a reply and their items yet; a turn and the reply to it have one number."""

    number: int
    conversation: Conversation
    emit: Callable[[SessionEvent], None]
    turn: UserTurn | None = None
    reply: Reply | None = None
    turn_task: asyncio.Task[None] | None = None
    reply_task: asyncio.Task[None] | None = None
    request: ReplyRequest | None = None
    turn_item: str = ""  # what the turn will be called
    user_item: str | None = None
    reply_item: str | None = None
    voice_end_sample: int = 0
    voice_end_ns: int | None = None  # None if nobody spoke
    transcript: str = ""
    forgotten: int = 0  # by the conversation, when the reply's history was taken from it
    settle: Callable[[Reply, bool], None] = lambda *_: None
    """Told of each released reply that is over, and whether its turn was not."""

    async def run_turn(self, user: UserTurn, utterance: Utterance) -> None:
        """Transcribe the turn; what it says may be known only after it has ended."""
        await user.run(utterance)
        item = self.user_item
        if item is None or not self._is_spoken(item):
            return
        if user.transcript:
            self.conversation.replace(UserItem(item, user.transcript, spoken=True))
        else:
            self.conversation.remove(item)

    def _is_spoken(self, name: str) -> bool:
        """Whether the turn's item is there: a client may have deleted it, or put another in its place."""
        item = self.conversation.get(name) if name in self.conversation else None
        return isinstance(item, UserItem) and item.spoken

    def end_turn(self) -> None:
        """What the user said enters the conversation."""
        assert self.turn, "a turn that was begun"
        self.turn.end()
        self.user_item = self.turn_item
        text = self.turn.transcript
        self.emit(SpeechStopped(self.voice_end_sample, self.user_item))
        self.conversation.add(UserItem(self.user_item, text or "", complete=text is not None, spoken=True))

    def release(self) -> None:
        """Let the reply be heard; one that is yet to be made is released as soon as it is."""
        if self.reply is None or self.reply.released_ns is not None:
            return
        self.reply_item = self.conversation.new_id()
        self.conversation.add(AssistantItem(self.reply_item))
        self.emit(ReplyStarted(self.number, self.reply_item, self.request))
        self.reply.release()

    def grow(self, reply: Reply) -> None:
        """More of the reply was heard: so much of it is in the conversation."""
        item = self._item()
        if item is not None:
            self.conversation.replace(replace(item, spoken=reply.spoken, heard_ms=reply.heard_ms))

    def _item(self) -> AssistantItem | None:
        """The reply's item, unless a client has deleted it, and put another in its place."""
        if self.reply_item is None or self.reply_item not in self.conversation:
            return None
        item = self.conversation.get(self.reply_item)
        return item if isinstance(item, AssistantItem) and not item.complete else None

    def hold(self) -> None:
        """Silence the reply, which may go on; the conversation has what was heard of it."""
        if self.reply:
            self.reply.hold()
            self.grow(self.reply)
            self.emit(ReplyHeld(self.number))

    def go_on(self) -> None:
        """Let the held reply sound again."""
        if self.reply:
            self.reply.go_on()
            self.emit(ReplyContinued(self.number))

    def cancel(self, *, turn_too: bool = True) -> None:
        """Drop the reply, silence first, then the tasks."""
        if self.reply:
            self.reply.stop()
        for task in (self.reply_task, self.turn_task if turn_too else None):
            if task is not None:
                task.cancel()

    def discard(self) -> None:
        """Drop the reply, and the turn with it unless that has ended."""
        self.cancel(turn_too=self.user_item is None)
        if self.reply_item is not None:  # nothing was said, after all
            if self._item() is not None:
                self.conversation.remove(self.reply_item)
            self.reply_item = None
            self.emit(ReplyDiscarded(self.number))

    def finish(self, *, interrupted: bool, reopened: bool = False) -> None:
        """Close the items of the released reply; of one that is reopened nothing remains."""
        if self.reply is None and self.request is not None:
            self.emit(ReplyDropped(self.request))  # it still waited for the turns before
            self.request = None
        if self.reply is None or self.reply_item is None:
            return
        reply, kept = self.reply, self._item()
        item = replace(
            kept or AssistantItem(self.reply_item),
            spoken=reply.spoken,
            heard_ms=reply.heard_ms,
            complete=not interrupted,
        )
        if kept is not None and (reopened or not item.text):
            self.conversation.remove(kept.id)
        elif kept is not None:
            self.conversation.replace(item)
        if reopened and self.user_item is not None and self._is_spoken(self.user_item):
            self.conversation.remove(self.user_item)
        if not reopened:
            self._call(reply)
        self.settle(reply, reopened)
        # What the reply before this one, which was held, has made it forget since, is forgotten once.
        self.conversation.forget(reply.dropped - (self.conversation.forgotten - self.forgotten))
        self.emit(self._done(reply, "" if reopened else item.text, interrupted, reopened))
        self.reply_item = None

    def _call(self, reply: Reply) -> None:
        for called in reply.calls:
            call = ToolCall(self.conversation.new_id(), called.call_id, called.name, called.arguments)
            self.emit(ReplyCalled(self.number, call))
            self.conversation.add(call)

    def _done(self, reply: Reply, heard: str, interrupted: bool, reopened: bool) -> ReplyDone:
        user, released_ns = self.turn, reply.released_ns
        assert released_ns is not None, "a reply that was released"
        transcribing_ns = user.utterances.first_ns.get(Utterance) if user else None
        return ReplyDone(
            number=self.number,
            transcript=(user.transcript or "") if user else self.transcript,
            reply=reply.text.strip(),
            heard=heard,
            voice_end_ns=released_ns if self.voice_end_ns is None else self.voice_end_ns,
            decided_ns=released_ns,
            boundaries=reply.boundaries(transcribing_ns),
            interrupted=interrupted,
            reopened=reopened,
            underruns=reply.playback.underruns if reply.playback else 0,
            reason=reply.reason,
            prompt_tokens=reply.prompt_tokens,
            tokens=reply.tokens,
            generating_s=reply.generating_ns / 1e9,
            sounded=reply.playback is not None and reply.playback.sounded,
            plan=reply.plan,
        )
