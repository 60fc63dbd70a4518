from dataclasses import replace

from service.core.alerts import Alert, Delivery, Occurrence, State, labels_of
from service.store import Store
from service.store.alerts import (
    due_deliveries,
    list_alerts,
    list_deliveries,
    next_delivery_at,
    prune_alerts,
    raise_alerts,
    save_deliveries,
    settle,
)

NOW = 1_000_000.0
HOLD_S = 900.0
LABELS = labels_of("m", "lexical", "any", "prompt", "lexical/any/prompt/page", enforced="observed")
OTHER = {**LABELS, "part": "answer"}
A, B = "http://a:9093", "http://b:9093"


def crossing(
    number: int = 1, *, labels: dict[str, str] = LABELS, score: float = 0.98
) -> Occurrence:
    return Occurrence(labels, f"ex-{number}", NOW + number, score, 0.97)


def raise_at(store: Store, now: float, *occurrences: Occurrence) -> None:
    with store.begin() as connection:
        raise_alerts(connection, occurrences, now)


def settle_at(store: Store, now: float, *urls: str) -> None:
    with store.begin() as connection:
        settle(connection, urls, quiet_since=now - HOLD_S, now=now)


def listed(store: Store) -> list[Alert]:
    with store.read() as connection:
        return list(list_alerts(connection, resolved=True))


def due(store: Store, url: str, now: float) -> list[Delivery]:
    with store.read() as connection:
        return [delivery for _, delivery in due_deliveries(connection, url, now=now, resend_s=30.0)]


def test_occurrences_with_the_same_labels_are_one_alert(store: Store) -> None:
    raise_at(store, NOW, crossing(2, score=0.99), crossing(3))
    raise_at(store, NOW, crossing(1))
    (alert,) = listed(store)
    assert alert.count == 3
    assert alert.score == 0.99
    assert (alert.first_exchange_at, alert.last_exchange_at) == (NOW + 1, NOW + 3)
    assert alert.last_exchange_id == "ex-3"
    assert alert.labels == LABELS


def test_other_labels_are_another_alert(store: Store) -> None:
    raise_at(store, NOW, crossing(), crossing(labels=OTHER))
    assert [alert.labels for alert in listed(store)] == [OTHER, LABELS]


def test_an_alert_is_resolved_once_it_was_quiet(store: Store) -> None:
    raise_at(store, NOW, crossing())
    raise_at(store, NOW + 100, crossing(2))
    settle_at(store, NOW + 100 + HOLD_S - 1)
    assert listed(store)[0].state is State.FIRING
    settle_at(store, NOW + 100 + HOLD_S)
    assert listed(store)[0].resolved_at == NOW + 100 + HOLD_S
    with store.read() as connection:
        assert list_alerts(connection) == []


def test_the_alerts_of_one_point_can_be_listed(store: Store) -> None:
    raise_at(store, NOW, crossing(), crossing(labels={**LABELS, "point": "op_1", "model": "n"}))
    with store.read() as connection:
        (alert,) = list_alerts(connection, point="op_1")
        assert alert.labels["model"] == "n"
        assert list_alerts(connection, point="op") == []


def test_what_comes_after_the_end_begins_another_alert(store: Store) -> None:
    raise_at(store, NOW, crossing())
    settle_at(store, NOW + HOLD_S)
    raise_at(store, NOW + HOLD_S + 1, crossing(2))
    states = [(alert.state, alert.count) for alert in listed(store)]
    assert states == [(State.FIRING, 1), (State.RESOLVED, 1)]


def test_each_alertmanager_is_owed_each_alert(store: Store) -> None:
    raise_at(store, NOW, crossing(), crossing(labels=OTHER))
    settle_at(store, NOW, A, B)
    assert [d.alert_id for d in due(store, A, NOW)] == [1, 2]
    assert [d.alert_id for d in due(store, B, NOW)] == [1, 2]


def test_an_alertmanager_that_is_new_is_owed_what_fires_and_nothing_older(store: Store) -> None:
    raise_at(store, NOW, crossing())
    settle_at(store, NOW + HOLD_S, A)
    raise_at(store, NOW + HOLD_S, crossing(labels=OTHER))
    settle_at(store, NOW + HOLD_S, A, B)
    assert [d.alert_id for d in due(store, A, NOW + HOLD_S)] == [1, 2]
    assert [d.alert_id for d in due(store, B, NOW + HOLD_S)] == [2]


def test_an_alert_that_became_quiet_while_nobody_sent_is_still_owed(store: Store) -> None:
    raise_at(store, NOW, crossing())
    settle_at(store, NOW + 10 * HOLD_S, A)
    assert listed(store)[0].state is State.RESOLVED
    assert [d.alert_id for d in due(store, A, NOW + 10 * HOLD_S)] == [1]


def test_how_deliveries_went_is_kept(store: Store) -> None:
    raise_at(store, NOW, crossing())
    settle_at(store, NOW, A, B)
    later = replace(due(store, A, NOW)[0], next_at=NOW + 8, failures=3, error="away")
    with store.begin() as connection:
        save_deliveries(connection, [later])
        assert next_delivery_at(connection, A) == NOW + 8
        assert list_deliveries(connection) == {1: [later, Delivery(1, B, NOW)]}
    assert due(store, A, NOW + 7) == []
    assert due(store, A, NOW + 8) == [later]


def test_what_was_acknowledged_to_the_end_is_owed_no_more(store: Store) -> None:
    raise_at(store, NOW, crossing())
    settle_at(store, NOW, A)
    with store.begin() as connection:
        save_deliveries(connection, [Delivery(1, A, NOW, resolved_acked_at=NOW)])
        assert next_delivery_at(connection, A) is None
    assert due(store, A, NOW + 9) == []


def test_the_end_of_an_old_alert_is_not_sent_after_its_labels_fire_again(store: Store) -> None:
    raise_at(store, NOW, crossing())
    settle_at(store, NOW + HOLD_S, A)
    old = due(store, A, NOW + HOLD_S)
    raise_at(store, NOW + HOLD_S + 1, crossing(2))
    settle_at(store, NOW + HOLD_S + 1, A)
    with store.begin() as connection:
        save_deliveries(connection, old)
    assert [d.alert_id for d in due(store, A, NOW + HOLD_S + 1)] == [2]


def test_old_alerts_are_forgotten_with_their_deliveries(store: Store) -> None:
    raise_at(store, NOW, crossing(), crossing(labels=OTHER))
    settle_at(store, NOW + HOLD_S, A)
    raise_at(store, NOW + HOLD_S, crossing())
    with store.begin() as connection:
        assert prune_alerts(connection, NOW + HOLD_S) == 0
        assert prune_alerts(connection, NOW + HOLD_S + 1) == 2
        assert list_deliveries(connection) == {}
    assert [alert.state for alert in listed(store)] == [State.FIRING]
