"""The peppers that the settings, or the files of data_dir, give."""

from service.settings import Settings
from service.store.pepper import load_peppers


def peppers_of(settings: Settings) -> tuple[bytes, ...]:
    """Return them, the newest first.

    Raises:
        ConfigError: one is too short, or a file cannot be read or made.
    """
    auth = settings.auth
    configured = None if auth.pepper is None else auth.pepper.get_secret_value()
    previous = [pepper.get_secret_value() for pepper in auth.previous_peppers]
    return load_peppers(settings.data_dir, configured, previous)
