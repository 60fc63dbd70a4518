"""`watchgate keys`: create, list, revoke and rotate API keys."""

import argparse
import secrets
import time
from typing import Any

from sqlalchemy import Connection

from service.commands.common import (
    Exit,
    actor,
    add_json_argument,
    add_leaf,
    duration_s,
    load_settings,
    opened_store,
    print_json,
    print_table,
    say,
    shown_time,
)
from service.core.callers import (
    ID_ENTROPY_BYTES,
    KEY_ENTROPY_BYTES,
    digest_key,
    is_project_name,
    make_key,
    make_key_id,
    visible_prefix,
)
from service.store.keys import (
    StoredKey,
    add_key,
    expire_key,
    find_key,
    list_keys,
    revoke_key,
)
from service.store.pepper import pepper_id, pepper_in_use
from service.wiring.peppers import peppers_of


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add `keys` and its commands."""
    parser = subparsers.add_parser(
        "keys", help="create, list, rotate and revoke API keys", description="Manage API keys."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_create(commands)
    _add_list(commands)
    _add_revoke(commands)
    _add_rotate(commands)
    return parser


def _add_create(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_leaf(
        commands,
        "create",
        "make a key and show it, this once",
        "watchgate keys create --project search --expires 90d",
    )
    parser.add_argument("--project", type=_project, required=True, help="may be new")
    parser.add_argument(
        "--expires", type=duration_s, metavar="90d", help="lifetime (default: until revoked)"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON on one line")
    parser.set_defaults(run=_create)


def _add_list(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_leaf(
        commands,
        "list",
        "list keys, by their visible prefix",
        "watchgate keys list --project search --json",
    )
    parser.add_argument("--project", type=_project, help="only this project's")
    add_json_argument(parser)
    parser.set_defaults(run=_list)


def _add_revoke(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_leaf(
        commands,
        "revoke",
        "end a key for good; gateways refuse it within about a second",
        "watchgate keys revoke key_2mVqTz8bKx1c",
    )
    parser.add_argument("id", metavar="ID", help="as `keys list` shows it")
    parser.set_defaults(run=_revoke)


def _add_rotate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_leaf(
        commands,
        "rotate",
        "make a new key for the project of a key, which then soon expires",
        "watchgate keys rotate key_2mVqTz8bKx1c --overlap 24h",
    )
    parser.add_argument("id", metavar="ID", help="as `keys list` shows it")
    parser.add_argument(
        "--overlap",
        type=duration_s,
        default=86400,
        metavar="24h",
        help="how long the old key still works (default: 24h)",
    )
    parser.add_argument("--json", action="store_true", help="print the JSON on one line")
    parser.set_defaults(run=_rotate)


def _create(args: argparse.Namespace) -> int:
    settings, now = load_settings(args), time.time()
    with opened_store(settings) as store:
        pepper = pepper_in_use(store, peppers_of(settings))
        expires_at = None if args.expires is None else now + args.expires
        stored, key = _new_key(args.project, now, expires_at)
        with store.begin() as connection:
            add_key(connection, stored, digest_key(pepper, key), pepper_id(pepper))
    _show_new(stored, key, args.json)
    return Exit.OK


def _list(args: argparse.Namespace) -> int:
    with opened_store(load_settings(args)) as store, store.read() as connection:
        found = [_shown(key) for key in list_keys(connection, args.project)]
    if args.json:
        print_json(found)
        return Exit.OK
    columns = ("id", "prefix", "project", "created_at", "expires_at", "revoked_at")
    print_table([c.upper() for c in columns], [[key[c] for c in columns] for key in found])
    return Exit.OK


def _revoke(args: argparse.Namespace) -> int:
    with opened_store(load_settings(args)) as store, store.begin() as connection:
        found = find_key(connection, args.id)
        revoked = revoke_key(connection, args.id, time.time())
    if found is None:
        return _no_such_key(args.id)
    say(f"{args.id} is revoked" if revoked else f"{args.id} was revoked before")
    return Exit.OK


def _rotate(args: argparse.Namespace) -> int:
    settings, now = load_settings(args), time.time()
    with opened_store(settings) as store:
        pepper = pepper_in_use(store, peppers_of(settings))
        with store.begin() as connection:
            old = find_key(connection, args.id)
            if old is None:
                return _no_such_key(args.id)
            if ended := _how_ended(old, now):
                say(f"{old.id} {ended}: make a new one with watchgate keys create")
                return Exit.PROBLEM
            stored, key = _replace(connection, old, pepper, now, args.overlap)
    _show_new(stored, key, args.json)
    return Exit.OK


def _replace(
    connection: Connection, old: StoredKey, pepper: bytes, now: float, overlap_s: int
) -> tuple[StoredKey, str]:
    """Make the new key, which lives as long as the old one was meant to, and let the old end."""
    lifetime_s = None if old.expires_at is None else old.expires_at - old.created_at
    stored, key = _new_key(old.project, now, None if lifetime_s is None else now + lifetime_s)
    add_key(connection, stored, digest_key(pepper, key), pepper_id(pepper))
    expire_key(connection, old.id, now + overlap_s)
    return stored, key


def _new_key(project: str, now: float, expires_at: float | None) -> tuple[StoredKey, str]:
    key = make_key(secrets.token_bytes(KEY_ENTROPY_BYTES))
    stored = StoredKey(
        id=make_key_id(secrets.token_bytes(ID_ENTROPY_BYTES)),
        project=project,
        prefix=visible_prefix(key),
        created_at=now,
        created_by=actor(),
        expires_at=expires_at,
    )
    return stored, key


def _how_ended(key: StoredKey, now: float) -> str | None:
    if key.revoked_at is not None:
        return "is revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "has expired"
    return None


def _no_such_key(key_id: str) -> int:
    say(f"no key has the id {key_id!r}; watchgate keys list shows all")
    return Exit.PROBLEM


def _show_new(stored: StoredKey, key: str, one_line: bool) -> None:
    shown = {
        "id": stored.id,
        "key": key,
        "prefix": stored.prefix,
        "project": stored.project,
        "expires_at": shown_time(stored.expires_at),
    }
    print_json(shown, indent=None if one_line else 2)
    say("The key is shown this once: only a digest of it is kept.")


def _shown(key: StoredKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "prefix": key.prefix,
        "project": key.project,
        "created_at": shown_time(key.created_at),
        "created_by": key.created_by,
        "expires_at": shown_time(key.expires_at),
        "revoked_at": shown_time(key.revoked_at),
    }


def _project(text: str) -> str:
    if not is_project_name(text):
        raise argparse.ArgumentTypeError(
            "expected 1 to 63 letters, digits, dots, dashes and underscores, "
            f"the first a letter or a digit, and not {text!r}",
        )
    return text
