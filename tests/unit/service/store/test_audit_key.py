from pathlib import Path

import pytest

from service.errors import ConfigError
from service.store.audit_key import load_audit_key


def test_the_configured_key_is_used_and_no_file_is_made(tmp_path: Path) -> None:
    assert load_audit_key(tmp_path, "a configured audit key") == b"a configured audit key"
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    key = load_audit_key(tmp_path / "var", None)
    assert len(key) == 64
    assert load_audit_key(tmp_path / "var", None) == key
    assert (tmp_path / "var" / "audit-key").stat().st_mode & 0o777 == 0o600


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audit-key").write_text("\n")
    with pytest.raises(ConfigError, match=r"^audit.key: .*audit-key has 0 bytes"):
        load_audit_key(tmp_path, None)
    with pytest.raises(ConfigError, match=r"^audit.key: the setting has 5 bytes; at least 16"):
        load_audit_key(tmp_path, "short")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^audit.key: .*file/audit-key"):
        load_audit_key(tmp_path / "file", None)
