"""`watchgate pepper`: rotate the secret that keys are digested under."""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from service.commands.common import (
    Exit,
    actor,
    add_json_argument,
    add_leaf,
    load_settings,
    opened_store,
    print_json,
    print_table,
    say,
    shown_time,
)
from service.core.audit import Entry
from service.settings import Settings
from service.store import Store
from service.store.pepper import id_in_use, pepper_id, pepper_in_use
from service.store.pepper_files import add_pepper, drop_pepper
from service.store.pepper_rotation import Live, list_peppers, live_under, retire, switch_to
from service.wiring.audit import audit_log_of
from service.wiring.peppers import peppers_of

_BY_SETTINGS = """\
auth.pepper is set, so the pepper is changed there, on every machine:
  1. make one: openssl rand -hex 32
  2. put the present value of auth.pepper first into auth.previous_peppers, and the new one into
     auth.pepper
  3. restart every gateway and the console
  4. run watchgate pepper switch"""
_NEXT = """\
Pepper {id} is there, and not in use yet.
  1. on other machines with a data_dir of their own: copy pepper.previous, then pepper
  2. restart every gateway and the console
  3. run watchgate pepper switch"""
_COLUMNS = (
    "ID",
    "STATE",
    "MADE_AT",
    "RETIRED_AT",
    "LIVE_KEYS",
    "LIVE_ADMIN_TOKENS",
    "GIVEN_HERE",
)
_SWITCHED = """\
Pepper {after} is in use. A key that is used is digested anew by the gateways. When
`watchgate pepper status` counts no live key under {before}: watchgate pepper retire {before}"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add `pepper` and its commands."""
    parser = subparsers.add_parser(
        "pepper",
        help="rotate the secret that keys are digested under",
        description="Rotate the pepper, the secret that keys are digested under: rotate, restart "
        "every gateway, switch, wait until no live key is under the old one, retire it.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    rotate = add_leaf(
        commands,
        "rotate",
        "make a new pepper, which is not in use before the switch",
        "watchgate pepper rotate",
    )
    rotate.set_defaults(run=_rotate)
    switch = add_leaf(
        commands,
        "switch",
        "digest new keys, and used ones anew, under the newest pepper; first every gateway must "
        "have been restarted with it",
        "watchgate pepper switch",
    )
    switch.set_defaults(run=_switch)
    _add_status(commands)
    _add_retire(commands)
    return parser


def _add_status(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    status = add_leaf(
        commands,
        "status",
        "list peppers by id, and how many live keys and admin tokens are under each",
        "watchgate pepper status --json",
    )
    add_json_argument(status)
    status.set_defaults(run=_status)


def _add_retire(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_leaf(
        commands,
        "retire",
        "give up a pepper that no live key or token is under, and remove it from the files",
        "watchgate pepper retire 5f1d8a90c2b7e346",
    )
    parser.add_argument("id", metavar="ID", help="as `pepper status` shows it")
    parser.add_argument(
        "--force", action="store_true", help="revoke the live keys and admin tokens under it"
    )
    parser.set_defaults(run=_retire)


def _rotate(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    with opened_store(settings) as store:
        given = peppers_of(settings)
        in_use = pepper_in_use(store, given)
        by_files = settings.auth.pepper is None
        newest = add_pepper(settings.data_dir, in_use) if by_files else given[0]
        if newest == in_use:
            say(_BY_SETTINGS)
            return Exit.PROBLEM
    say(_NEXT.format(id=pepper_id(newest)))
    return Exit.OK


def _switch(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    with opened_store(settings) as store:
        given = peppers_of(settings)
        before, after = pepper_id(pepper_in_use(store, given)), pepper_id(given[0])
        with store.begin() as connection:
            if not switch_to(connection, given[0], time.time()):
                say(f"pepper {after} is in use already; watchgate pepper rotate makes another")
                return Exit.OK
            entry = _entry("pepper.rotate", after, {"in_use": before}, {"in_use": after})
            audit_log_of(settings).record(connection, entry)
    say(_SWITCHED.format(before=before, after=after))
    return Exit.OK


def _status(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    with opened_store(settings) as store:
        shown = _shown(store, [pepper_id(pepper) for pepper in peppers_of(settings)])
    if args.json:
        print_json(shown)
        return Exit.OK
    print_table(_COLUMNS, [[_cell(value) for value in pepper.values()] for pepper in shown])
    return Exit.OK


def _retire(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    with opened_store(settings) as store:
        given = {pepper_id(pepper): pepper for pepper in peppers_of(settings)}
        if args.id in given and _is_unused(store, args.id):
            say(f"pepper {args.id} was never in use")
        else:
            _retire_in(store, settings, args)
    if settings.auth.pepper is not None or args.id not in given:
        say("Take it out of the settings, and restart the gateways and the console.")
    elif drop_pepper(settings.data_dir, given[args.id]):
        say("It is removed from the files; restart the gateways and the console.")
    return Exit.OK


def _retire_in(store: Store, settings: Settings, args: argparse.Namespace) -> None:
    with store.begin() as connection:
        revoked = retire(connection, args.id, time.time(), force=args.force)
        if revoked is None:
            say(f"pepper {args.id} was retired before")
            return
        entry = _entry("pepper.retire", args.id, after={"revoked": asdict(revoked)})
        audit_log_of(settings).record(connection, entry)
    say(f"pepper {args.id} is retired")
    if revoked != Live():
        say(f"{revoked.keys} keys and {revoked.admin_tokens} admin tokens were revoked")


def _is_unused(store: Store, id_: str) -> bool:
    with store.read() as connection:
        return all(known.id != id_ for known in list_peppers(connection))


def _shown(store: Store, given: Sequence[str]) -> list[dict[str, Any]]:
    """Return the peppers that were ever in use, after those that are given and were not."""
    with store.read() as connection:
        known, live = list_peppers(connection), live_under(connection, time.time())
        in_use = id_in_use(connection)
    ids = {one.id for one in known}
    waiting = [_row(id_, "waiting", given) for id_ in given if id_ not in ids]
    found = []
    for one in known:
        state = "retired" if one.retired_at else "in_use" if one.id == in_use else "previous"
        times = (shown_time(one.made_at), shown_time(one.retired_at))
        found.append(_row(one.id, state, given, times, live))
    return waiting + found


def _row(
    id_: str,
    state: str,
    given: Sequence[str],
    times: tuple[str | None, str | None] = (None, None),
    live: Mapping[str, Live] | None = None,
) -> dict[str, Any]:
    return {
        "id": id_,
        "state": state,
        "made_at": times[0],
        "retired_at": times[1],
        **{f"live_{name}": n for name, n in asdict((live or {}).get(id_, Live())).items()},
        "given_here": id_ in given,
    }


def _cell(value: object) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else str(value)


def _entry(action: str, id_: str, before: object = None, after: object = None) -> Entry:
    return Entry(time.time(), actor(), action, f"pepper/{id_}", before, after)
