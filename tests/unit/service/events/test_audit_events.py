import pytest
from msgspec import structs

from service.errors import BadRecord
from service.events import schema
from service.events.audit import Anchor, Denied, to_event, to_record
from service.events.log import Record, Topic

DENIED = Denied(
    id="dn-boot-1",
    at=5.0,
    key="key_1",
    project="acme",
    account="acme/user",
    model="m",
    surface="chat",
    reasons=("model_not_allowed", "tools_not_allowed"),
    count=3,
    first_at=1.0,
    last_at=4.0,
)
OPENED = schema.Opened(
    exchange_id="ex-1",
    at=1.0,
    account="acme",
    project="acme",
    key="key_1",
    model="m",
    surface="chat",
    tier=1,
    upstream="gpu",
    stream=False,
)
ANCHOR = Anchor(at=5.0, seq=7, mac="0f" * 32)


def test_events_come_out_as_they_went_in() -> None:
    for event, key, id_ in ((DENIED, b"acme/user", "dn-boot-1"), (ANCHOR, b"audit", None)):
        record = to_record(event)
        assert (record.topic, record.key, record.content) == (Topic.AUDIT, key, None)
        assert id_ is None or record.id == id_
        assert to_event(record) == event
        assert schema.made_at(record) == 5.0


def test_anchors_of_one_head_have_one_id() -> None:
    assert to_record(ANCHOR).id == to_record(structs.replace(ANCHOR, at=9.0)).id
    assert to_record(ANCHOR).id != to_record(structs.replace(ANCHOR, seq=8)).id


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "undecodable"),
        (b'{"kind":"anchor","at":1,"seq":1,"mac":"\xe2"}', "undecodable"),
        (b'{"kind":"closed","at":1}', "undecodable"),
        (b'{"kind":"anchor","at":1,"seq":1,"mac":"","v":9}', "version"),
    ],
)
def test_what_is_no_event_of_this_topic_is_bad(body: bytes, reason: str) -> None:
    with pytest.raises(BadRecord) as caught:
        to_event(Record(Topic.AUDIT, b"a", "anchor", "x", body))
    assert caught.value.reason == reason


@pytest.mark.parametrize("body", [b"{}", b'{"at":"\xe2"}'])
def test_a_time_of_what_is_no_event_is_not_guessed(body: bytes) -> None:
    with pytest.raises(BadRecord):
        schema.made_at(Record(Topic.EXCHANGES, b"a", "opened", "x", body))


def test_an_event_that_is_not_utf8_is_bad() -> None:
    body = schema.to_record(OPENED).body.replace(b"acme", b"ac\xe2e")
    with pytest.raises(BadRecord) as caught:
        schema.to_event(Record(Topic.EXCHANGES, b"a", "closed", "x", body))
    assert caught.value.reason == "undecodable"
