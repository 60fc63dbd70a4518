"""The audit log, under the key that the settings or the file of data_dir give."""

from service.settings import Settings
from service.store.audit import AuditLog
from service.store.audit_key import load_audit_key


def audit_log_of(settings: Settings) -> AuditLog:
    """Return the log, to be appended to.

    Raises:
        ConfigError: the key is too short, or its file cannot be read or made.
    """
    return AuditLog(load_audit_key(settings.data_dir, settings.audit.secret))
