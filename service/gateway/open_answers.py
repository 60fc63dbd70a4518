"""Answers under way: they end when who asked for them may not have them any more."""

from collections.abc import Callable
from time import time
from typing import NamedTuple

from service.core.access import standing_of
from service.core.callers import Caller, Denial, authenticate, caller_in
from service.core.directory import Snapshot, Standing
from service.errors import AccountSuspended, InvalidApiKey, Refusal
from service.gateway.auth import Proof
from service.gateway.exchange import Exchange
from service.gateway.passage import Passage

_ENDING = frozenset({Denial.REVOKED, Denial.DISABLED})
"""A key that expires meanwhile lets what it began come to its end."""


class _Open(NamedTuple):
    passage: Passage
    caller: Caller
    proof: Proof | None


class OpenAnswers:
    """Knows the answers under way of models that end them; `use` is called with each snapshot."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        """Know of none."""
        self._open: dict[str, _Open] = {}
        self._snapshot = Snapshot()
        self._clock = clock

    def begin(self, passage: Passage, exchange: Exchange, proof: Proof | None) -> None:
        """Know of an answer that begins.

        Raises:
            InvalidApiKey, AccountSuspended: the right to it went while it waited for its turn.
        """
        if exchange.model.ends_answers:
            answer = _Open(passage, exchange.caller, proof)
            if (error := _why_ended(self._snapshot, answer, self._clock())) is not None:
                raise error
            self._open[exchange.id] = answer

    def end(self, exchange_id: str) -> None:
        """Forget an answer that has ended."""
        self._open.pop(exchange_id, None)

    def use(self, snapshot: Snapshot) -> None:
        """End the answers of those who may not have them any more."""
        self._snapshot = snapshot
        now = self._clock()
        for answer in list(self._open.values()):
            if (error := _why_ended(snapshot, answer, now)) is not None:
                answer.passage.revoke(error)


def _why_ended(snapshot: Snapshot, answer: _Open, now: float) -> Refusal | None:
    _, caller, proof = answer
    digests = proof if isinstance(proof, tuple) else ()
    known = next((digest for digest in digests if digest in snapshot.keys), None)
    if known is not None:
        found = authenticate(snapshot, known, now)
    else:  # a token
        found = caller_in(snapshot, caller.key_id, caller.project)
    if isinstance(found, Denial) and found in _ENDING:
        return InvalidApiKey("The API key was revoked while the answer was under way.")
    if standing_of(snapshot, caller) is Standing.SUSPENDED:
        return AccountSuspended("The account was suspended while the answer was under way.")
    return None
