"""The durable local log of one process: a row of segments with one writer.

    <root>/gateway-0/            one folder a journal, its name the `log` of positions
        lock                     held (flock) by the process that writes
        synced                   the mark up to which readers may read, see mark.py
        00000001.seg …           segments, see segment.py: only the last is ever written to
        ballast                  space kept for the ends of exchanges, see space.py
    <root>/groups/<name>.json    what each consumer group has acknowledged, see groups.py

Files are 0600 in folders of 0700.
"""

from service.events.journal.leftovers import leftovers
from service.events.journal.lookup import (
    find_exchange,
    journal_folders,
    oldest_unread,
    read_synced,
    read_topic,
)
from service.events.journal.pending import Pending
from service.events.journal.reader import JournalReader
from service.events.journal.slots import Slot, take_slot
from service.events.journal.space import Limits
from service.events.journal.writer import Journal

__all__ = [
    "Journal",
    "JournalReader",
    "Limits",
    "Pending",
    "Slot",
    "find_exchange",
    "journal_folders",
    "leftovers",
    "oldest_unread",
    "read_synced",
    "read_topic",
    "take_slot",
]
