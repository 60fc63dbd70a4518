"""What decoding bytes from elsewhere may raise."""

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The decoder has no error of its own for a text that is not UTF-8, nor for one that is too
deep."""
