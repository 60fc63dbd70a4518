"""The phases of a caller's connection."""

from enum import Enum


class Phase(Enum):
    """What a connection is about, and so what its next byte means.

        HEAD ──▶ SERVING ──▶ IDLE ──▶ HEAD …
                    │          ▲
                    └─▶ REST ──┘

    Whatever is refused closes the connection: at once, or from SERVING, where the answer that is
    owed comes first, by way of DEAF.
    """

    HEAD = "a head is awaited or has begun"
    SERVING = "the application is at work; its request may still be coming"
    REST = "the answer is complete, and the rest of its request is awaited"
    IDLE = "nothing has come since the last request and its answer"
    DEAF = "what comes is passed over: the connection closes after the answer"
