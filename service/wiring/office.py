"""What the admin API works with, in the console and in commands on the machine of the store."""

import time
from functools import cached_property
from importlib.metadata import version

from service.console.office import KnownModel, Office
from service.core.tiers import TIERS, Safeguard
from service.settings import Model, Settings
from service.store import Store, load_pepper
from service.store.audit import AuditLog
from service.store.audit_key import load_audit_key
from service.store.pepper import check_pepper


class Secrets:
    """The pepper and the audit log's key, read or made when they are first needed."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Read nothing yet."""
        self._settings = settings
        self._store = store

    @cached_property
    def pepper(self) -> bytes:
        """What new keys and tokens are digested under.

        Raises:
            ConfigError: it is too short, or not the one that the store's keys were made under.
        """
        configured = self._settings.auth.pepper
        given = None if configured is None else configured.get_secret_value()
        pepper = load_pepper(self._settings.data_dir, given)
        check_pepper(self._store, pepper)
        return pepper

    @cached_property
    def audit_log(self) -> AuditLog:
        """The audit log, under its key.

        Raises:
            ConfigError: the key is too short, or cannot be read or made.
        """
        return AuditLog(load_audit_key(self._settings.data_dir, self._settings.audit.secret))


def make_office(settings: Settings, store: Store) -> Office:
    """Return what the routes of the admin API share."""
    models = [_known(model) for model in settings.models]
    return Office(store, models, version("watchgate"), time.time, Secrets(settings, store))


def _known(model: Model) -> KnownModel:
    required = TIERS[model.tier].requires
    safeguards = tuple(str(safeguard) for safeguard in Safeguard if safeguard in required)
    return KnownModel(model.name, model.tier, model.upstream, safeguards)
