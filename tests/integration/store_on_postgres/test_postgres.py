"""What is so of PostgreSQL alone."""

import contextlib
import os
import signal
import threading

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.errors import StoreUnavailable
from service.store import Store, open_store, revision
from service.store.engine import UNREACHABLE
from service.store.postgres import ANSWER_TIMEOUT_S
from service.store.revision import bump_revision
from tests.real_parts.postgres import PostgresServer


def shown(store: Store, name: str) -> object:
    with store.read() as connection:
        return connection.execute(text(f"SHOW {name}")).scalar()


def test_nothing_waits_for_long(store: Store) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    assert [shown(store, name) for name in names] == ["10s", "10s", "1min"]


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(DBAPIError, match="read-only transaction"), store.read() as connection:
        bump_revision(connection)


def test_the_audit_log_is_not_truncated(store: Store) -> None:
    with pytest.raises(DBAPIError, match="append-only"), store.begin() as connection:
        connection.execute(text("TRUNCATE audit"))


def test_a_server_that_was_away_is_used_again(store: Store, postgres: PostgresServer) -> None:
    assert revision(store) == 1
    postgres.stop()
    try:
        with pytest.raises(UNREACHABLE):
            revision(store)
    finally:
        postgres.start()
    assert revision(store) == 1


def test_a_server_that_is_away_is_told_in_words_without_the_password(
    postgres: PostgresServer,
) -> None:
    url = postgres.url("nowhere").replace("watchgate@", "watchgate:open-sesame@")
    with pytest.raises(StoreUnavailable, match=r"^store.url: .*nowhere.* does not exist") as told:
        open_store(url)
    assert "sesame" not in str(told.value)


def test_a_server_that_hangs_is_given_up(store: Store, store_url: str) -> None:
    with psycopg.connect(store_url) as other:
        mine = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
        assert revision(store) == 1
        (row,) = other.execute(mine, [other.info.backend_pid]).fetchall()
    os.kill(row[0], signal.SIGSTOP)
    ended = threading.Event()

    def ask() -> None:
        with contextlib.suppress(*UNREACHABLE):
            revision(store)
        ended.set()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        assert ended.wait(3 * ANSWER_TIMEOUT_S)
    finally:
        os.kill(row[0], signal.SIGCONT)
        thread.join()
    assert revision(store) == 1
