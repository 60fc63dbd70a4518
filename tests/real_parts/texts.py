"""Texts that are hard to cut: what meets a border in them changes what is before it."""

from hypothesis import strategies as st

TRICKY = st.one_of(
    st.sampled_from("ab Z9_-.<\n"),
    st.sampled_from("éßſİΣς\u0301\u0323\u0327\u0338\u0308"),  # compose, reorder, fold
    st.sampled_from("\u200b\u00ad\ufe0f\u034f\U000e0041"),  # are not seen
    st.sampled_from("中がか\u3099ｶﾞไำက\u102e\u1025ក"),  # words of one character
    st.sampled_from("नमस्ते\u0b47\u0b3e\u0bc6\u0bbe안\u1100\u1161\u11a8ㅏשָعًا"),  # noqa: RUF001 - marks in words
    st.sampled_from("🙂…—「」，\ufdfa㌖①\u1e9b\ud800"),  # noqa: RUF001 - signs and ligatures
    st.characters(exclude_categories=[]),
)
"""A character; `st.text(TRICKY)` is a text."""


@st.composite
def cut_texts(draw: st.DrawFn, *, max_pieces: int = 12) -> list[str]:
    """Draw a text as pieces, some of them long or empty."""
    piece = st.text(TRICKY, max_size=12)
    repeated = st.builds(
        lambda text, times: text * times, piece, st.sampled_from([1, 1, 1, 90, 400])
    )
    return draw(st.lists(repeated, max_size=max_pieces))
