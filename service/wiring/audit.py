"""The audit log, under the key that the settings or the file of data_dir give."""

from service.settings import Settings
from service.store.audit import AuditLog
from service.store.audit_key import load_audit_key


def audit_log_of(settings: Settings) -> AuditLog:
    """Return the log, to be appended to.

    Raises:
        ConfigError: the key is too short, or its file cannot be read or made.
    """
    key = settings.audit.key
    return AuditLog(
        load_audit_key(settings.data_dir, None if key is None else key.get_secret_value())
    )
