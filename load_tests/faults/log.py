"""Reads what an installation recorded, into the judge's terms."""

from collections.abc import Iterable

import msgspec

from load_tests.faults.judge import Ended, Recorded
from service.core.surfaces.answers import Answer
from service.events.log import Received
from service.events.schema import Closed, Opened, Verdict, to_event
from tests.real_parts.watchgate import MISUSE

_answers = msgspec.json.Decoder(Answer)
_MISUSE = MISUSE.encode()


def recorded(records: Iterable[Received]) -> Recorded:
    """Put together the records of exchanges and verdicts, each as often as it is there."""
    log = Recorded()
    for received in records:
        event, content = to_event(received.record), received.record.content or b""
        if isinstance(event, Opened):
            log.opened[event.exchange_id] += 1
            if _MISUSE in content:
                log.misuse.add(event.exchange_id)
        elif isinstance(event, Closed):
            log.closed[event.exchange_id] += 1
            log.ends[event.exchange_id] = _ended(event, content)
        else:
            _note(log, event)
    return log


def _ended(event: Closed, content: bytes) -> Ended:
    served = event.served_number > 0 if event.served_number >= 0 else None
    choices = _answers.decode(content).choices if content else []
    return Ended(event.outcome, "".join(choice.text for choice in choices), served)


def _note(log: Recorded, verdict: Verdict) -> None:
    parts = log.screened.setdefault(verdict.exchange_id, set())
    if verdict.completes:
        parts.add(verdict.part)
    if any(crossing.action == "page" for crossing in verdict.crossed):
        log.crossed.add(verdict.exchange_id)
