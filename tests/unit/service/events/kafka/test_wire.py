import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadRecord
from service.events.kafka import wire
from service.events.log import Position, Received, Record, Topic

MAX_BYTES = 20_000

json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
).map(msgspec.json.encode)
records = st.builds(
    Record,
    topic=st.sampled_from(Topic),
    key=st.binary(max_size=40),
    kind=st.sampled_from(["opened", "closed", "verdict"]),
    id=st.text(max_size=40),
    body=json_texts | st.binary(max_size=100),
    content=st.none() | json_texts | st.binary(max_size=100),
    key_id=st.none() | st.text(max_size=10),
)


def received(record: Record, offset: int = 7) -> Received:
    return Received(record, Position("gateway-0", 3, offset))


def record(body_bytes: int = 10, key: bytes = b"account") -> Record:
    return Record(Topic.EXCHANGES, key, "opened", "e", b'"%s"' % (b"x" * body_bytes))


@given(records)
def test_a_record_comes_out_of_its_envelope_as_it_went_in(original: Record) -> None:
    value = wire.to_value(original)

    assert wire.to_record(original.topic, original.key, value) == original


@given(records)
def test_an_envelope_is_json_whatever_the_record_holds(original: Record) -> None:
    assert msgspec.json.decode(wire.to_value(original), type=dict)


def test_json_stands_in_the_envelope_without_being_encoded_again() -> None:
    original = Record(Topic.EXCHANGES, b"a", "opened", "e", b'{"b": 1}', b'[ {"c":"d"} ]')

    value = wire.to_value(original)

    assert value == b'{"v":1,"kind":"opened","id":"e","body":{"b": 1},"content":[ {"c":"d"} ]}'


def test_encrypted_content_stands_in_base64_and_says_so() -> None:
    original = Record(Topic.EXCHANGES, b"a", "opened", "e", b"{}", b"\x00\xff", "key-1")

    envelope = msgspec.json.decode(wire.to_value(original))

    assert envelope["content"] == "AP8="
    assert envelope["base64"] == ["content"]
    assert envelope["key_id"] == "key-1"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"not json",
        b'{"v":1,"kind":"\xe2","id":"e","body":{}}',
        b"[]",
        b"{}",
        b'{"v":2,"kind":"opened","id":"e","body":{}}',
        b'{"v":1,"kind":"opened","id":"e","body":"*","base64":["body"]}',
        b'{"v":1,"kind":"opened","id":"e","body":{},"base64":["body"]}',
    ],
)
def test_what_is_no_envelope_of_this_version_is_refused(value: bytes) -> None:
    with pytest.raises(BadRecord) as caught:
        wire.to_record(Topic.EXCHANGES, b"key", value)

    assert caught.value.reason == "undecodable"


def test_fields_of_a_later_minor_change_are_passed_over() -> None:
    value = b'{"v":1,"kind":"opened","id":"e","body":{},"later":[1]}'

    assert wire.to_record(Topic.EXCHANGES, b"k", value).id == "e"


def test_a_small_record_travels_in_one_message_that_says_where_it_came_from() -> None:
    (message,) = wire.messages(received(record()), MAX_BYTES)

    assert wire.read_headers(message.headers) == (Position("gateway-0", 3, 7), None)
    assert message.value == wire.to_value(record())


@given(st.integers(0, 100_000), st.binary(max_size=500))
def test_a_large_record_travels_in_parts_that_fit_and_make_up_its_envelope(
    body_bytes: int, key: bytes
) -> None:
    original = record(body_bytes, key)

    messages = list(wire.messages(received(original), MAX_BYTES))

    assert all(message.size_bytes <= MAX_BYTES for message in messages)
    assert {message.key for message in messages} == {key}
    assert b"".join(message.value for message in messages) == wire.to_value(original)
    parts = [wire.read_headers(message.headers).part for message in messages]
    if len(messages) > 1:
        size_bytes = len(wire.to_value(original))
        assert parts == [(n + 1, len(messages), size_bytes) for n in range(len(messages))]


@given(st.lists(st.integers(0, 50_000), max_size=12))
def test_rounds_keep_the_order_and_fit_in_one_batch_each(sizes: list[int]) -> None:
    batch = [received(record(size), offset) for offset, size in enumerate(sizes)]

    rounds = list(wire.rounds(batch, MAX_BYTES))

    assert all(sum(message.size_bytes for message in one) <= MAX_BYTES for one in rounds)
    assert all(rounds)
    assert [message for one in rounds for message in one] == [
        message for one in batch for message in wire.messages(one, MAX_BYTES)
    ]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("origin", b""), ("part", b"")],
        [("origin", b"a/b"), ("part", b"1/2")],
        [("origin", b"a/b/c"), ("part", b"3/2/10")],
        [("origin", b"\xff/1/2"), ("part", b"0/2/10")],
        [("origin", b"a/1/x"), ("part", b"x/2/10")],
    ],
)
def test_headers_that_cannot_be_read_say_nothing(headers: list[tuple[str, bytes]]) -> None:
    assert wire.read_headers(headers) == (None, None)


def test_a_log_may_have_a_slash_in_its_name() -> None:
    headers = wire.read_headers([("origin", b"host/gateway-0/3/7")])

    assert headers.origin == Position("host/gateway-0", 3, 7)
