"""The fault matrix in short: two faults, and the judge on what they left, doctored."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from load_tests.faults.__main__ import main
from load_tests.faults.account import Account, End
from load_tests.faults.judge import Effects, Findings, Recorded, judge
from load_tests.faults.registry import FAULTS
from load_tests.faults.stand import Stand, served_in
from load_tests.faults.stands import local
from load_tests.faults.trial import try_fault

pytestmark = pytest.mark.timeout(300)

SECONDS = 2.0


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with local(tmp_path_factory.mktemp("faults")) as one:
        yield one


@pytest.fixture(scope="module")
def account() -> Account:
    """What callers tell of all faults of this module."""
    return Account()


def test_a_line_to_vllm_that_breaks_again_and_again_is_survived(
    stand: Stand, account: Account
) -> None:
    row = try_fault(FAULTS["vllm-cut"], stand, account, SECONDS)
    assert row.holds, row.problems
    assert row.count(End.BROKEN) > 0


def test_a_gateway_that_is_killed_under_load_is_survived_and_a_doctored_account_is_not(
    stand: Stand, account: Account
) -> None:
    row = try_fault(FAULTS["gateway-killed"], stand, account, SECONDS)
    assert row.holds, row.problems
    log = stand.recorded()
    covered = served_in(log)
    counted = dict.fromkeys(("served", "recorded", "screened"), covered)
    right = Effects(len(log.crossed), 0, counted, covered)
    assert judged(account, log, right).all == []
    one = next(told for told in account.since() if told.end is End.COMPLETED)

    account.tell(replace(one, receipt="ex-of-nobody"))
    assert judged(account, log, right).unrecorded
    assert judged(account, log, replace(right, alerts=right.alerts + 1)).duplicated
    log.screened[one.receipt].clear()
    del log.ends[next(iter(log.ends.keys() - {one.receipt}))]
    assert len(judged(account, log, right).lost) == 2


def judged(account: Account, log: Recorded, effects: Effects) -> Findings:
    return judge(account.since(), log, effects)


def test_a_fault_that_nobody_knows_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "meteor"]) == 2
    assert "no fault is called meteor" in capsys.readouterr().err
