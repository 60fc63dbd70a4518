"""Looks into the store without making, migrating or locking anything."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from service.core.findings import Finding, ok, problem, unknown
from service.core.screening import Point, unexpired
from service.doctor.inside import MAX_SKEW_S
from service.doctor.results import Named
from service.errors import ConfigError
from service.settings import Settings
from service.store.heartbeats import read_heartbeats
from service.store.pepper import held_in_use, load_peppers, valid_peppers
from service.store.pepper_files import NEWEST
from service.store.points import active_points
from service.store.schema import HEAD, Schema, schema_of, too_new

_TIMEOUT_S: Final = 3


def store(settings: Settings) -> Iterator[Named]:
    """Check that the store is there, of today's schema, and of this pepper."""
    url = make_url(settings.store.url)
    if _is_sqlite(url) and not Path(url.database or "").exists():
        words = f"{url.database} is not there yet: the first process makes it"
        yield "reached", unknown(words, "start Watchgate, then ask again")
        return
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            yield "reached", ok(f"{url.get_backend_name()} answers")
            yield from _inside(connection, settings)
    except SQLAlchemyError as error:
        words = f"it cannot be read: {type(error).__name__}"  # its words may hold the password
        yield "reached", problem(words, "look whether it runs, and correct store.url")
    finally:
        engine.dispose()


def points_in_store(settings: Settings, now: float) -> Sequence[Point]:
    """Return the operating points of the store that apply; none if it cannot be asked now."""
    url = make_url(settings.store.url)
    if _is_sqlite(url) and not Path(url.database or "").exists():
        return ()
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            found = schema_of(connection)
            if found is None or found.number < HEAD or found.is_too_new:
                return ()
            return unexpired([it.to_point() for it in active_points(connection)], now)[0]
    except SQLAlchemyError:  # what is wrong with it is told by `store`
        return ()
    finally:
        engine.dispose()


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _engine(url: URL) -> Engine:
    if _is_sqlite(url):
        address = f"file:{quote(url.database or '')}?mode=ro"
        return create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(address, _TIMEOUT_S, uri=True)
        )
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": _TIMEOUT_S},
        execution_options={"postgresql_readonly": True},
    )


def _inside(connection: Connection, settings: Settings) -> Iterator[Named]:
    schema = _schema(schema_of(connection))
    yield "schema", schema
    if schema.to_do:
        return
    yield "pepper", _pepper(valid_peppers(connection), settings)
    latest = max((beat.at for beat in read_heartbeats(connection).values()), default=None)
    yield "clock", _clock(latest, time.time())


def _schema(found: Schema | None) -> Finding:
    if found is not None and found.number == HEAD:
        return ok(f"schema {found.number}, today's")
    if found is not None and found.is_too_new:
        return problem(too_new(found), "see docs/upgrading.md, section 'Going back'")
    if found is not None and found.number > HEAD:
        return ok(f"{found}: newer than this version ({HEAD}), which may use it")
    return unknown(
        f"schema {found.number if found else 'none'}, and this version's is {HEAD}",
        "start Watchgate, which brings it up to date, then ask again",
    )


def _pepper(rows: Sequence[tuple[str, bytes]], settings: Settings) -> Finding:
    if not rows:
        return ok("no key was made yet, so any pepper is right")
    auth = settings.auth
    if auth.pepper is None and not (settings.data_dir / NEWEST).exists():
        return problem(
            "the pepper that keys were made under is gone: no key is known without it",
            "set auth.pepper, or bring back the file pepper in data_dir",
        )
    configured = None if auth.pepper is None else auth.pepper.get_secret_value()
    previous = [pepper.get_secret_value() for pepper in auth.previous_peppers]
    try:
        held_in_use(rows, load_peppers(settings.data_dir, configured, previous))
    except ConfigError as error:
        return problem(str(error), "docs/keys.md, section 'Rotating the pepper', says which")
    return ok("every one that keys may have been made under")


def _clock(latest: float | None, now: float) -> Finding:
    if latest is not None and latest - now > MAX_SKEW_S:
        return problem(
            f"a worker's last sign of life is {latest - now:.0f} s in the future",
            "keep the clocks of all machines by NTP; this one may have been set back",
        )
    return ok("no sign of life is of the future")
