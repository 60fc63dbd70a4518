from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.alerts import (
    Alert,
    Delivery,
    State,
    acknowledged,
    failed,
    fingerprint,
    is_quiet,
    labels_of,
    payload,
    state_to_send,
    timestamp,
)

NOW = 1_000_000.0
HOLD_S = 900.0
RESEND_S = 30.0
LABELS = labels_of(
    "smollm2", "lexical", "any", "prompt", "lexical/any/prompt/page", enforced="observed"
)
FIRING = Alert(
    id=1,
    labels=LABELS,
    count=3,
    raised_at=NOW - 60,
    last_at=NOW - 10,
    resolved_at=None,
    first_exchange_at=NOW - 70,
    last_exchange_at=NOW - 20,
    last_exchange_id="ex-3",
    score=0.9876,
    threshold=0.97,
)
RESOLVED = replace(FIRING, last_at=NOW - HOLD_S, resolved_at=NOW)
OWED = Delivery(alert_id=1, url="http://127.0.0.1:9093", next_at=NOW)


def test_the_fingerprint_tells_alerts_apart_by_every_label() -> None:
    others = [{**LABELS, name: "other"} for name in LABELS]
    assert len({fingerprint(labels) for labels in [LABELS, *others]}) == 1 + len(LABELS)
    assert fingerprint(dict(reversed(LABELS.items()))) == fingerprint(LABELS)


def test_an_alert_is_quiet_once_nothing_came_for_the_hold() -> None:
    assert not is_quiet(NOW, HOLD_S, NOW + HOLD_S - 1)
    assert is_quiet(NOW, HOLD_S, NOW + HOLD_S)


def test_what_fires_is_sent_as_firing() -> None:
    assert state_to_send(FIRING, OWED, HOLD_S, NOW) is State.FIRING


def test_what_was_heard_for_the_hold_is_sent_as_resolved() -> None:
    heard = replace(OWED, firing_acked_at=NOW - HOLD_S)
    assert state_to_send(RESOLVED, heard, HOLD_S, NOW) is State.RESOLVED


def test_an_alert_that_was_never_heard_of_is_sent_as_firing_first_and_held() -> None:
    assert state_to_send(RESOLVED, OWED, HOLD_S, NOW + 5 * HOLD_S) is State.FIRING
    late = acknowledged(OWED, State.FIRING, NOW + 5 * HOLD_S, RESEND_S)
    assert state_to_send(RESOLVED, late, HOLD_S, NOW + 6 * HOLD_S - 1) is State.FIRING
    assert state_to_send(RESOLVED, late, HOLD_S, NOW + 6 * HOLD_S) is State.RESOLVED


def test_an_acknowledgement_keeps_when_the_first_one_came() -> None:
    once = acknowledged(OWED, State.FIRING, NOW, RESEND_S)
    twice = acknowledged(once, State.FIRING, NOW + RESEND_S, RESEND_S)
    assert twice.firing_acked_at == NOW
    assert twice.next_at == NOW + 2 * RESEND_S
    assert twice.resolved_acked_at is None
    assert acknowledged(twice, State.RESOLVED, NOW + 90, RESEND_S).resolved_acked_at == NOW + 90


def test_failures_are_tried_again_ever_later_up_to_the_resend_interval() -> None:
    waits, delivery = [], OWED
    for _ in range(8):
        delivery = failed(delivery, "connection refused", NOW, RESEND_S)
        waits.append(delivery.next_at - NOW)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert delivery.failures == 8
    assert acknowledged(delivery, State.FIRING, NOW, RESEND_S).failures == 0


@given(st.integers(0, 10**9))
def test_no_number_of_failures_is_too_many(failures: int) -> None:
    assert failed(replace(OWED, failures=failures), "x", NOW, RESEND_S).next_at <= NOW + RESEND_S


def test_an_alertmanager_may_rely_on_an_alert_until_its_hold_is_over() -> None:
    entry = payload(FIRING, State.FIRING, now=NOW, hold_s=HOLD_S, resend_s=RESEND_S)
    assert entry["startsAt"] == timestamp(NOW - 60)
    assert entry["endsAt"] == timestamp(NOW - 10 + HOLD_S)


def test_an_alert_near_its_end_is_relied_on_for_some_missed_resends() -> None:
    entry = payload(RESOLVED, State.FIRING, now=NOW, hold_s=HOLD_S, resend_s=RESEND_S)
    assert entry["endsAt"] == timestamp(NOW + 4 * RESEND_S)


def test_a_resolved_alert_ended_when_it_was_resolved() -> None:
    entry = payload(RESOLVED, State.RESOLVED, now=NOW + 500, hold_s=HOLD_S, resend_s=RESEND_S)
    assert entry["endsAt"] == timestamp(NOW)


def test_an_alert_says_what_was_found_and_where_to_look() -> None:
    entry = payload(FIRING, State.FIRING, now=NOW, hold_s=HOLD_S, resend_s=RESEND_S)
    assert entry["labels"] == LABELS
    assert entry["annotations"] == {
        "summary": "lexical found any misuse of smollm2 in the prompt of 3 exchanges, "
        "scoring up to 0.988 (threshold 0.97): nothing was stopped",
        "count": "3",
        "exchange": "ex-3",
        "score": "0.988",
        "first": timestamp(NOW - 70),
        "last": timestamp(NOW - 20),
    }


@pytest.mark.parametrize(("enforced", "told"), [("blocked", "blocked"), ("cut_off", "cut off")])
def test_an_alert_says_what_the_gateway_did(enforced: str, told: str) -> None:
    alert = replace(FIRING, labels={**LABELS, "enforced": enforced})
    entry = payload(alert, State.FIRING, now=NOW, hold_s=HOLD_S, resend_s=RESEND_S)
    assert entry["labels"]["enforced"] == enforced
    assert entry["annotations"]["summary"].endswith(f"(threshold 0.97): {told}")


def test_times_are_spelled_in_utc() -> None:
    assert timestamp(0.0004) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"
