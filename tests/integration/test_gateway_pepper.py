"""A gateway through the rotation of its pepper: no request is refused on the way."""

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from sqlalchemy import select

from service.core.callers import digest_key, make_key
from service.settings import Settings
from service.store.keys import StoredKey, add_key
from service.store.pepper import load_peppers, pepper_id, pepper_in_use
from service.store.pepper_files import add_pepper, drop_pepper
from service.store.pepper_rotation import Live, live_under, retire, switch_to
from service.store.tables import keys
from tests.real_parts.gateway import (
    CHAT,
    KEY,
    KEY_ID,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    gateway_before,
    opened,
    rendered,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import answering, eventually

ANSWERS: Final = answering(answer_of(chat_body()))
LATER: Final = make_key(b"l" * 32)
_DATA: Final = "data"


def rotate(folder: Path) -> None:
    (newest,) = load_peppers(folder / _DATA, None, [])
    add_pepper(folder / _DATA, newest)


def switch(settings: Settings) -> None:
    with opened(settings) as store, store.begin() as connection:
        assert switch_to(connection, load_peppers(settings.data_dir, None, [])[0], time.time())


def make_later_key(settings: Settings) -> None:
    """Make a key as `watchgate keys create` does."""
    with opened(settings) as store:
        pepper = pepper_in_use(store, load_peppers(settings.data_dir, None, []))
        with store.begin() as connection:
            key = StoredKey("key_later", "project", LATER[:12], time.time(), "tests")
            add_key(connection, key, digest_key(pepper, LATER), pepper_id(pepper))


def pepper_of_key(settings: Settings) -> str:
    with opened(settings) as store, store.read() as connection:
        query = select(keys.c.pepper).where(keys.c.id == KEY_ID)
        found: str = connection.execute(query).scalar_one()
        return found


@contextlib.asynccontextmanager
async def gateway_with_new_pepper(folder: Path) -> AsyncIterator[RunningGateway]:
    def prepare(settings: Settings) -> None:
        with opened(settings) as store:
            pepper_in_use(store, load_peppers(settings.data_dir, None, []))
        rotate(folder)

    async with gateway_before(ANSWERS, folder=folder, prepare=prepare) as gateway:
        yield gateway


async def is_served(gateway: RunningGateway, key: str) -> bool:
    return (await gateway.post(CHAT, chat(), key=key)).status == 200


@on_uvloop
async def test_a_used_key_is_digested_anew_after_the_switch_and_never_refused(
    tmp_path: Path,
) -> None:
    async with gateway_with_new_pepper(tmp_path) as gateway:
        settings = gateway.settings
        new, old = load_peppers(settings.data_dir, None, [])
        kept = await gateway.connect()  # its head, and the digests of its key, are kept
        for _ in range(2):
            await kept.send(rendered(CHAT, chat()))
            assert (await kept.reply()).status == 200
        assert pepper_of_key(settings) == ""

        switch(settings)
        make_later_key(settings)
        await eventually(lambda: "key_later" in _known(gateway))
        for _ in range(2):
            await kept.send(rendered(CHAT, chat()))
            assert (await kept.reply()).status == 200
            assert await is_served(gateway, LATER)
        await eventually(lambda: pepper_of_key(settings) == pepper_id(new))
        await eventually(
            lambda: digest_key(new, KEY) in gateway.pipeline.authenticator.snapshot.keys
        )
        await kept.send(rendered(CHAT, chat()))
        assert (await kept.reply()).status == 200

        with opened(settings) as store, store.begin() as connection:
            assert live_under(connection, time.time()) == {pepper_id(new): Live(2)}
            assert retire(connection, pepper_id(old), time.time()) == Live()
        assert drop_pepper(settings.data_dir, old)
        assert await is_served(gateway, KEY)
        gateway.revoke_key()
        await eventually(lambda: _known(gateway)[KEY_ID] is not None)
        await kept.send(rendered(CHAT, chat()))
        assert (await kept.reply()).status == 401


def _known(gateway: RunningGateway) -> dict[str, float | None]:
    """Return the keys that the gateway knows, and when each was revoked."""
    found = gateway.pipeline.authenticator.snapshot.keys.values()
    return {key.id: key.revoked_at for key in found}
