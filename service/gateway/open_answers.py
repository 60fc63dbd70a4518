"""Answers under way: they end when who asked for them may not have them any more."""

import math
from typing import Final, NamedTuple

from service.core.access import standing_of
from service.core.callers import Caller, Denial, authenticate, caller_in
from service.core.directory import Snapshot, Standing
from service.errors import AccountSuspended, InvalidApiKey, Refusal
from service.gateway.auth import Proof
from service.gateway.exchange import Exchange, ServedModel
from service.gateway.passage import Passage

_NO_TIME: Final = -math.inf
"""When no key has expired: one that does meanwhile lets what it began come to its end."""


class _Open(NamedTuple):
    passage: Passage
    caller: Caller
    proof: Proof | None


class OpenAnswers:
    """Knows the answers under way of models that end them; `use` is called with each snapshot."""

    def __init__(self) -> None:
        """Know of none."""
        self._open: dict[str, _Open] = {}
        self._snapshot = Snapshot()

    def check(self, model: ServedModel, caller: Caller, proof: Proof | None) -> None:
        """See that a caller may still have an answer, right before it begins.

        Raises:
            InvalidApiKey, AccountSuspended: since the request was let in it waited, for its limits
                or its screens, and whoever asks may not have an answer any more.
        """
        if model.ends_answers and (error := _why_ended(self._snapshot, caller, proof)):
            raise error

    def begin(self, passage: Passage, exchange: Exchange, proof: Proof | None) -> None:
        """Know of an answer that begins."""
        if exchange.model.ends_answers:
            self._open[exchange.id] = _Open(passage, exchange.caller, proof)

    def end(self, exchange_id: str) -> None:
        """Forget an answer that has ended."""
        self._open.pop(exchange_id, None)

    def use(self, snapshot: Snapshot) -> None:
        """End the answers of those who may not have them any more."""
        self._snapshot = snapshot
        for answer in list(self._open.values()):
            if (error := _why_ended(snapshot, answer.caller, answer.proof)) is not None:
                answer.passage.revoke(error)


def _why_ended(snapshot: Snapshot, caller: Caller, proof: Proof | None) -> Refusal | None:
    if isinstance(proof, tuple):
        known = next((digest for digest in proof if digest in snapshot.keys), proof[0])
        found = authenticate(snapshot, known, _NO_TIME)
    else:  # a token
        found = caller_in(snapshot, caller.key_id, caller.project)
    if isinstance(found, Denial):  # one that is not known any more proves no more than a revoked
        return InvalidApiKey("The API key was revoked while the answer was under way.")
    if standing_of(snapshot, caller) is Standing.SUSPENDED:
        return AccountSuspended("The account was suspended while the answer was under way.")
    return None
