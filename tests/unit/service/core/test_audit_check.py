"""Whatever was done to a log is found, and said where."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from service.core.audit import Action, Entry, Head, Link, link
from service.core.audit_check import Anchor, ChainCheck, Fault, Finding, Report

KEY = b"a key of the chain, long enough"
FAULTS = (Fault.CHANGED, Fault.MISSING, Fault.CUT, Fault.REWRITTEN)


def chain(count: int, *, word: str = "", after: Sequence[Link] = ()) -> list[Link]:
    """Make a log of so many entries, the first of them given."""
    made = list(after)
    while len(made) < count:
        head = Head(made[-1].seq, made[-1].mac) if made else Head()
        entry = Entry(5.0, f"cli:ann{word}", Action.KEY_CREATE, f"key/key_{len(made)}")
        made.append(link(KEY, head, entry))
    return made


def anchor(of: Link, where: str = "enforcer-0/1/1") -> Anchor:
    return Anchor(of.seq, of.mac, 100.0 + of.seq, where)


def check(found: Sequence[Link], *anchors: Anchor, key: bytes = KEY) -> Report:
    checking = ChainCheck(key, anchors)
    for one in found:
        checking.see(one)
    return checking.end()


def faults(report: Report) -> list[tuple[Fault, int, int]]:
    return [(it.fault, it.first, it.last) for it in report.findings]


def test_a_log_as_it_was_written_is_whole() -> None:
    made = chain(9)
    report = check(made, anchor(made[2]), anchor(made[6]), anchor(made[6]))
    assert report.findings == ()
    assert (report.entries, report.head) == (9, Head(9, made[-1].mac))
    assert (report.anchors, report.oldest_at, report.anchored_to) == (2, 103.0, 7)


def test_an_empty_log_is_whole_and_needs_no_anchor() -> None:
    assert check([]).findings == ()
    assert not check([]).none_follows


def test_a_log_without_anchors_is_told_to_be_one() -> None:
    report = check(chain(3))
    assert faults(report) == [(Fault.NOT_ANCHORED, 1, 3)]
    assert str(report.findings[0]).startswith("there is no anchor")


def test_a_change_is_found_in_the_entry_that_was_changed_alone() -> None:
    made = chain(9)
    made[4] = made[4]._replace(actor="cli:eve")
    assert faults(check(made, anchor(made[0]))) == [(Fault.CHANGED, 5, 5)]
    assert str(check(made).findings[0]) == "entry 5 is not what was written there"


def test_a_mac_that_was_changed_is_found_in_its_entry_alone() -> None:
    made = chain(9)
    made[4] = made[4]._replace(mac=bytes(32))
    assert faults(check(made, anchor(made[0]))) == [(Fault.CHANGED, 5, 5)]


def test_entries_that_are_missing_are_named() -> None:
    made = chain(9)
    kept = anchor(made[8])
    assert faults(check(made[3:], kept)) == [(Fault.MISSING, 1, 3)]
    assert "entries 1 to 3 are missing at the start" in str(check(made[3:]).findings[0])
    assert faults(check([*made[:3], *made[5:]], kept)) == [(Fault.MISSING, 4, 5)]


def test_entries_in_each_others_place_are_named() -> None:
    made = chain(9)
    made[3], made[4] = made[4]._replace(seq=4), made[3]._replace(seq=5)
    assert faults(check(made, anchor(made[0])))[0] == (Fault.CHANGED, 4, 6)


def test_an_entry_that_was_put_in_is_named_wherever_it_is() -> None:
    made = chain(5)
    forged = made[0]._replace(seq=6, actor="cli:eve")
    assert faults(check([*made, forged], anchor(made[0]))) == [(Fault.CHANGED, 6, 6)]
    before = made[0]._replace(seq=0)
    assert faults(check([before, *made], anchor(made[0]))) == [(Fault.CHANGED, 0, 0)]


def test_an_end_that_was_cut_off_is_shown_by_the_anchors_behind_it() -> None:
    made = chain(9)
    report = check(made[:5], anchor(made[3]), anchor(made[6]), anchor(made[7], "gateway-0/2/9"))
    assert faults(report) == [(Fault.CUT, 6, 8)]
    (cut,) = report.findings
    assert cut.anchor == anchor(made[7], "gateway-0/2/9")
    assert str(cut) == (
        f"entries 6 to 8 were cut off at the end: the anchor 8:{made[7].mac.hex()} of "
        "gateway-0/2/9 and 1 more names the last"
    )
    assert faults(check([], anchor(made[7]))) == [(Fault.CUT, 1, 8)]


def test_a_log_that_was_written_anew_under_the_key_is_shown_by_its_anchors() -> None:
    made = chain(9)
    anew = chain(9, word="x", after=made[:4])
    report = check(anew, anchor(made[1]), anchor(made[5]), anchor(made[7]))
    assert faults(report) == [(Fault.REWRITTEN, 3, 6)]
    assert report.findings[0].anchors == 2
    assert report.anchored_to == 2
    assert "was written anew by someone who has the key" in str(report.findings[0])


def test_another_key_is_guessed_at() -> None:
    made = chain(9)
    report = check(made, anchor(made[8]), key=b"another key of the same length.")
    assert faults(report) == [(Fault.CHANGED, 1, 9)]
    assert report.none_follows


def test_however_much_is_wrong_only_so_much_of_it_is_kept() -> None:
    made = [one for one in chain(500) if one.seq % 2]
    report = check(made)
    assert len(report.findings) == 100
    assert report.more == 249 - 100 + 1
    cut = check(made, anchor(chain(600)[-1]))
    assert cut.findings[-1].fault is Fault.CUT


@st.composite
def attacks(draw: st.DrawFn) -> tuple[list[Link], list[Link]]:
    """Draw a log, and what somebody without the key has made of it."""
    made = chain(draw(st.integers(1, 12)))
    found = list(made)
    place = draw(st.integers(0, len(found) - 1))
    other = draw(st.integers(0, len(found) - 1).filter(lambda n: len(found) == 1 or n != place))
    match draw(st.sampled_from(["change", "delete", "swap", "insert", "truncate", "replay"])):
        case "change":
            found[place] = found[place]._replace(reason="forged")
        case "delete":
            del found[place]
        case "swap":
            found[place], found[other] = found[other], found[place]
        case "insert":
            found.insert(place, found[other])
        case "truncate":
            found = found[:place]
        case "replay":
            found.append(found[place])
    # a table has each number once: what was moved gets the number of its place, but for gaps
    is_short = len(found) < len(made)
    return made, found if is_short else [it._replace(seq=n) for n, it in enumerate(found, 1)]


@given(attacks())
def test_whatever_somebody_without_the_key_does_is_found(
    attack: tuple[list[Link], list[Link]],
) -> None:
    made, found = attack
    report = check(found, anchor(made[-1]))
    assert bool(report.findings) == (found != made)


@given(st.integers(1, 12), st.data())
def test_whatever_somebody_with_the_key_does_before_an_anchor_is_found(
    count: int, data: st.DataObject
) -> None:
    made = chain(count)
    anchored = data.draw(st.integers(1, count))
    kept = data.draw(st.integers(0, anchored - 1))
    anew = chain(data.draw(st.integers(kept, count + 3)), word="x", after=made[:kept])
    report = check(anew, anchor(made[anchored - 1]))
    if len(anew) < anchored:
        assert faults(report) == [(Fault.CUT, len(anew) + 1, anchored)]
    else:
        ((fault, first, last),) = faults(report)
        assert fault is Fault.REWRITTEN
        assert first <= kept + 1 <= last == anchored


def test_every_fault_says_what_it_is() -> None:
    for fault in Fault:
        one, many = (str(Finding(fault, 3, last)) for last in (3, 4))
        assert one
        assert "None" not in one + many
