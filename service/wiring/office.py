"""What the admin API works with, in the console and in commands on the machine of the store."""

import time
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version

from sqlalchemy import Connection

from service.console.office import KnownModel, Office
from service.core.safeguards import Watched
from service.core.tiers import Safeguard
from service.settings import Model, Settings
from service.store import Store
from service.store.audit import AuditLog
from service.store.pepper import pepper_for_new_keys
from service.wiring.audit import audit_log_of
from service.wiring.peppers import peppers_of
from service.wiring.point_facts import point_facts


class Secrets:
    """The peppers and the audit log's key, read or made when they are first needed."""

    def __init__(self, settings: Settings) -> None:
        """Read nothing yet."""
        self._settings = settings

    @cached_property
    def peppers(self) -> Sequence[bytes]:
        """The peppers that keys and tokens may be stored under, the newest first.

        Raises:
            ConfigError: one is too short, or cannot be read or made.
        """
        return peppers_of(self._settings)

    def pepper(self, connection: Connection) -> bytes:
        """What new keys and tokens are digested under, as of a transaction that stores one.

        Raises:
            ConfigError: keys in the store may be under a pepper that is not given.
        """
        return pepper_for_new_keys(connection, self.peppers)

    @cached_property
    def audit_log(self) -> AuditLog:
        """The audit log, under its key.

        Raises:
            ConfigError: the key is too short, or cannot be read or made.
        """
        return audit_log_of(self._settings)


def make_office(settings: Settings, store: Store) -> Office:
    """Return what the routes of the admin API share."""
    probes_required = {it.name: it.probes_required for it in settings.upstreams}
    models = [_known(model, probes_required[model.upstream]) for model in settings.models]
    facts = point_facts(settings)
    return Office(store, models, version("watchgate"), time.time, Secrets(settings), facts)


def _known(model: Model, probes_required: bool | None) -> KnownModel:
    required = Watched(model.name, model.tier, probes_required).required
    safeguards = tuple(str(safeguard) for safeguard in Safeguard if safeguard in required)
    return KnownModel(model.name, model.tier, model.upstream, safeguards)
