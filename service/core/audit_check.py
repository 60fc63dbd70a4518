"""Whether the audit log is what was written: the chain, entry by entry, against its anchors.

The chain alone shows what somebody without the key has done in the middle. Anchors, heads of the
log that were told elsewhere, show also that its end was cut off, and that somebody with the key
has written all of it anew.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from service.core.audit import START, Head, Link, follows, mac_of

_SHOWN: Final = 100
"""Findings that are kept whole; of more only the number."""


class Fault(StrEnum):
    """What is wrong with a log."""

    CHANGED = "changed"
    """Entries are not what was put there: changed, put in, or in another order."""
    MISSING = "missing"
    """Entries before others are not there."""
    CUT = "cut"
    """The log ends before an anchor says that it did."""
    REWRITTEN = "rewritten"
    """An anchor names another entry than the log has in its place: what it names was cut off, and
    others came there, or somebody who has the key wrote the chain anew."""
    NOT_ANCHORED = "not_anchored"
    """There is no anchor, so nobody can say whether it was cut or rewritten."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The log's head as it was told elsewhere."""

    seq: int
    mac: bytes
    at: float | None
    """When it was told, Unix seconds; None: not known."""
    where: str
    """Where it was found: `enforcer-0/1/17`, `watchgate.audit/3/41` or `--anchor`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, with the entries `first` to `last`."""

    fault: Fault
    first: int
    last: int
    anchor: Anchor | None = None
    """The first that shows it."""
    anchors: int = 0
    """How many show it."""

    def __str__(self) -> str:
        """Say it in a sentence."""
        is_one = self.first == self.last
        which = f"entry {self.first}" if is_one else f"entries {self.first} to {self.last}"
        is_, was = ("is", "was") if is_one else ("are", "were")
        match self.fault:
            case Fault.CHANGED:
                return f"{which} {is_} not what was written there"
            case Fault.MISSING:
                return f"{which} {is_} missing" + (" at the start" if self.first == 1 else "")
            case Fault.CUT:
                return f"{which} {was} cut off at the end: {self._shown_by} names the last"
            case Fault.REWRITTEN:
                return (
                    f"within {which} the log was cut and went on from there, or was written anew "
                    f"by someone who has the key: {self._shown_by} names another entry"
                )
        return "there is no anchor: nobody can say whether the log was cut or written anew"

    @property
    def _shown_by(self) -> str:
        anchor = self.anchor
        if anchor is None:
            return "no anchor"
        more = f" and {self.anchors - 1} more" if self.anchors > 1 else ""
        return f"the anchor {anchor.seq}:{anchor.mac.hex()} of {anchor.where}{more}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a log."""

    entries: int
    head: Head
    anchors: int
    """Different ones that were compared."""
    oldest_at: float | None
    """When the oldest of them was told."""
    anchored_to: int
    """The last entry that an anchor vouches for: what comes behind could be cut unseen."""
    findings: tuple[Finding, ...]
    more: int = 0
    """Findings that were left out."""
    none_follows: bool = False
    """Not a single entry follows: the key is another, or all were changed."""


class ChainCheck:
    """Goes through a log once, in order, with little of it in memory."""

    def __init__(self, key: bytes, anchors: Iterable[Anchor]) -> None:
        """Take the chain's key, and all anchors that there are."""
        self._key = key
        self._anchors: defaultdict[int, dict[bytes, Anchor]] = defaultdict(dict)
        for anchor in anchors:
            self._anchors[anchor.seq].setdefault(anchor.mac, anchor)
        self._head = Head()
        self._befores: tuple[bytes, ...] = (START,)
        """What the mac before may be: as stored, and as it should be; none: nobody knows."""
        self._entries = self._wrong = 0
        self._agreed = 0
        self._findings: list[Finding] = []
        self._rewritten: Finding | None = None
        self._more = 0

    def see(self, found: Link) -> None:
        """Look at the next entry; they come by growing numbers."""
        self._entries += 1
        if found.seq <= self._head.seq:  # a number under 1, or no number at all
            self._wrong += 1
            self._find(Finding(Fault.CHANGED, found.seq, found.seq))
            return
        if found.seq > self._head.seq + 1:
            self._find(Finding(Fault.MISSING, self._head.seq + 1, found.seq - 1))
            self._befores = ()
        self._compare_chain(found)
        self._compare_anchors(found)
        self._head = Head(found.seq, _stored_mac(found))

    def end(self) -> Report:
        """Say what was found, now that there are no more entries."""
        ahead = [anchor for of in self._all() for anchor in of if anchor.seq > self._head.seq]
        if self._rewritten is not None:
            self._find(self._rewritten)
        if ahead:
            furthest = max(ahead, key=lambda anchor: anchor.seq)
            first, last = self._head.seq + 1, furthest.seq
            self._find(Finding(Fault.CUT, first, last, furthest, len(ahead)))
        if not self._anchors and self._entries:
            self._find(Finding(Fault.NOT_ANCHORED, 1, self._head.seq))
        times = [anchor.at for of in self._all() for anchor in of if anchor.at is not None]
        return Report(
            self._entries,
            self._head,
            sum(len(of) for of in self._anchors.values()),
            min(times, default=None),
            self._agreed,
            tuple(self._findings),
            self._more,
            none_follows=self._wrong == self._entries > 0,
        )

    def _compare_chain(self, found: Link) -> None:
        stored = _stored_mac(found)
        if any(follows(self._key, before, found) for before in self._befores):
            self._befores = (stored,)
        elif self._befores:
            self._wrong += 1
            self._find(Finding(Fault.CHANGED, found.seq, found.seq))
            # who changed only its mac left the next entry behind the one that it had
            due = (mac_of(self._key, self._befores[-1], found),) if found.is_sound else ()
            self._befores = (stored, *due)
        else:
            self._befores = (stored,)

    def _compare_anchors(self, found: Link) -> None:
        here = self._anchors.get(found.seq)
        if here is None:
            return
        others = [anchor for mac, anchor in here.items() if mac != found.mac]
        if not others:
            self._agreed = found.seq
        elif self._rewritten is None:
            self._rewritten = Finding(
                Fault.REWRITTEN, self._agreed + 1, found.seq, others[0], len(others)
            )
        else:
            self._rewritten = replace(
                self._rewritten, anchors=self._rewritten.anchors + len(others)
            )

    def _find(self, finding: Finding) -> None:
        """Keep a finding, one that goes on from the last together with it."""
        last = self._findings[-1] if self._findings else None
        if last and last.fault is finding.fault and last.last + 1 == finding.first:
            self._findings[-1] = replace(last, last=finding.last)
        elif len(self._findings) < _SHOWN or finding.anchor is not None:
            self._findings.append(finding)
        else:
            self._more += 1

    def _all(self) -> Iterable[Iterable[Anchor]]:
        return (of.values() for of in self._anchors.values())


def _stored_mac(found: Link) -> bytes:
    return found.mac if type(found.mac) is bytes else b""
