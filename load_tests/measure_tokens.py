"""How much processor time a caller's token costs: `python -m load_tests.measure_tokens`.

Beside it the same for a key. "first": a token that was never seen; "again": on a new connection;
"repeated": with a head that its connection repeats.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from service.core.callers import digest_key, make_key
from service.core.directory import KnownKey, Organisation, Project, Snapshot
from service.core.tokens import Trust
from service.gateway.auth import Authenticator
from service.gateway.meters import Meters
from service.identity.jwks import IssuerKeys, Pace
from service.identity.verifier import Issuer, TokenVerifier
from service.telemetry.metrics import Metrics
from tests.real_parts.jwks import SigningKey, key_set, signing_key

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
ROUNDS: Final = 2000
_PEPPER: Final = b"p" * 32
_KEY: Final = make_key(b"k" * 32)
_ISSUER: Final = "https://issuer.example.org"


def main() -> None:
    """Print a table: microseconds of processor time, the fastest of five runs."""
    print("| credential | first | again | repeated |\n|---|---|---|---|")
    print(_row("key", _authenticator(signing_key("ES256")), [_KEY] * ROUNDS))
    for algorithm in ALGORITHMS:
        key = signing_key(algorithm)
        tokens = [key.sign(_claims(n)) for n in range(ROUNDS)]
        print(_row(f"token, {algorithm}", _authenticator(key), tokens))


def _row(name: str, make: Callable[[], Authenticator], shown: Sequence[str]) -> str:
    now = time.time()
    fields = [{b"authorization": b"Bearer " + one.encode()} for one in shown]

    def first() -> Callable[[], object]:
        found = make()
        return lambda: [found.authenticate(found.digest(one), now) for one in fields]

    def again() -> Callable[[], object]:
        run = first()
        run()
        return run

    def repeated() -> Callable[[], object]:
        found = make()
        proofs = [found.digest(one) for one in fields]
        return lambda: [found.authenticate(proof, now) for proof in proofs]

    cells = [f"{_us_each(run):.1f}" for run in (first, again, repeated)]
    return f"| {' | '.join([name, *cells])} |"


def _us_each(prepare: Callable[[], Callable[[], object]]) -> float:
    taken = []
    for _ in range(5):
        run = prepare()
        began = time.process_time()
        run()
        taken.append(time.process_time() - began)
    return min(taken) / ROUNDS * 1e6


def _authenticator(key: SigningKey) -> Callable[[], Authenticator]:
    trust = Trust("corp", _ISSUER, frozenset({"models"}), project=("team",), projects={"a": "a"})

    def make() -> Authenticator:
        keys = IssuerKeys(
            "corp",
            lambda: key_set(key),
            [key.algorithm],
            pace=Pace(),
            on_refresh=lambda _: None,
        )
        keys.refresh()
        verifier = TokenVerifier([Issuer(trust, keys)])
        found = Authenticator([_PEPPER], Meters(Metrics(CollectorRegistry())), verifier)
        snapshot = Snapshot(
            keys={digest_key(_PEPPER, _KEY): KnownKey("key_1", "a")},
            organisations={"default": Organisation("default")},
            projects={"a": Project("a")},
        )
        found.use(snapshot)
        return found

    return make


def _claims(number: int) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": _ISSUER,
        "aud": "models",
        "sub": f"user-{number}",
        "iat": now,
        "exp": now + 3600,
        "team": "a",
        "groups": [f"group-{n}" for n in range(20)],
    }


if __name__ == "__main__":
    main()
