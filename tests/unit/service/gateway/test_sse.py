"""Splitting streams of server-sent events."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import UpstreamBroke
from service.gateway.sse import EventSplitter, event_data

LINES = st.sampled_from([b"data: {}", b"data:x", b": note", b"id: 1", b"data", b"", b"\xc3\xa9"])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=12).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def split(*parts: bytes) -> list[bytes]:
    splitter = EventSplitter()
    return [event for part in parts for event in splitter.feed(part)]


@given(st.data(), STREAMS)
def test_where_a_stream_is_cut_changes_nothing(data: st.DataObject, stream: bytes) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert split(*parts) == split(stream) == split(*[bytes([byte]) for byte in stream])


@given(STREAMS)
def test_no_byte_is_changed_or_lost(stream: bytes) -> None:
    whole = stream + b"\n\n"
    passed = b"".join(split(whole))
    assert whole.startswith(passed)
    assert whole[len(passed) :] in {b"", b"\n"}


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_event_is_whole_as_soon_as_its_empty_line_is(end: bytes) -> None:
    event = b"data: x" + end + end
    assert split(event) == [event]
    assert split(event[:-1]) == []


def test_a_long_event_in_small_pieces_takes_time_in_proportion() -> None:
    def seconds(pieces: int) -> float:
        splitter = EventSplitter()
        start = time.process_time()
        for _ in range(pieces):
            splitter.feed(b"x" * 64)
        assert splitter.feed(b"\n\n")
        return time.process_time() - start

    seconds(1000)
    assert seconds(200_000) < 10  # quadratic: minutes


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: {}\n\n", b"{}"),
        (b"data:{}\n\n", b"{}"),
        (b"data:  {}\r\n\r\n", b" {}"),
        (b"event: x\ndata: a\ndata: b\n\n", b"a\nb"),
        (b"data: a\rdata: b\n\n", b"a\nb"),
        (b"data\n\n", b""),
        (b"\n\n", None),
        (b": comment\nid: 7\nretry: 10\nevent: ping\n\n", None),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes | None) -> None:
    assert event_data(event) == data


@pytest.mark.parametrize("event", [b"\xef\xbb\xbfdata: {}\n\n", b"Data: {}\n\n", b"what\n\n"])
def test_what_a_client_might_read_and_we_do_not_is_refused(event: bytes) -> None:
    with pytest.raises(UpstreamBroke):
        event_data(event)
