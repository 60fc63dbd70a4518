"""The tokens in log probabilities: text that stands beside an answer's own."""

from typing import Final

from service.core.surfaces.answers import Piece

_NUMBERS: Final = frozenset({"logprob", "rank"})


def token_pieces(choice: int, logprobs: object) -> tuple[Piece, ...]:
    """Return the tokens of log probabilities as text, and their alternatives as another."""
    tokens, alternatives = _tokens_below(logprobs, is_alternative=False)
    pieces = (
        Piece(choice, "tokens", "".join(tokens)),
        Piece(choice, "alternatives", " ".join(["", *alternatives])),
    )
    return tuple(piece for piece in pieces if piece.text)


def _tokens_below(root: object, *, is_alternative: bool) -> tuple[list[str], list[str]]:
    """Find tokens: in the field `token`, in lists of `tokens`, as the names of alternatives."""
    found: tuple[list[str], list[str]] = ([], [])
    for value in root if isinstance(root, list) else [root]:
        if isinstance(value, str):
            found[is_alternative].append(value)
        for name, inner in value.items() if isinstance(value, dict) else ():
            if name in {"token", "tokens"} or isinstance(inner, dict | list):
                below = _tokens_below(
                    inner, is_alternative=is_alternative or name == "top_logprobs"
                )
                found[0].extend(below[0])
                found[1].extend(below[1])
            elif is_alternative and isinstance(inner, float | int) and name not in _NUMBERS:
                found[1].append(name)
    return found
