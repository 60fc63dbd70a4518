"""An installation that is started while its store is away."""

from pathlib import Path

from tests.real_parts.installation import START_S, Installation, installation
from tests.real_parts.postgres import PostgresServer, database
from tests.real_parts.serving import until


def statuses(one: Installation) -> int:
    try:
        return one.chat_status()
    except OSError:  # it does not listen yet
        return 0


def test_everything_starts_without_the_store_serves_from_the_copy_and_recovers(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    with (
        database(postgres, "template0") as url,
        installation(tmp_path, store={"url": url}) as one,
    ):
        one.chat("the screener has something to do")
        kept = one.data_dir / "store-copy" / "gateway-0"
        until(lambda: kept.exists() and b"key_" in kept.read_bytes(), START_S)
        one.stop()
        postgres.stop()
        try:
            one.process = one.spawn("up")
            until(lambda: statuses(one) == 200, START_S)
            assert one.pids().keys() >= {"gateway", "screener"}
        finally:
            postgres.start()
        until(one.is_ready, START_S)
        assert one.chat_status() == 200
