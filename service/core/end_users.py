"""End users: those on whose behalf a project calls, as the project names them.

What a project calls its user is kept as an HMAC, within the project: two projects' users of the
same name are two accounts, and the record tells nobody's name.
"""

import hmac
from typing import Final

_HMAC_BYTES: Final = 12


def end_user_account(secret: bytes, project: str, end_user: str) -> str:
    """Return the account of an end user: the project, `/` and 24 hexadecimal digits."""
    named = f"{project}\0{end_user}".encode("utf-8", "replace")
    return f"{project}/{hmac.digest(secret, named, 'sha256')[:_HMAC_BYTES].hex()}"
