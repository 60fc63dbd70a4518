"""Who is let in, who is not, and how much they may."""

from scripts.dashboards import board, shared
from scripts.dashboards.board import Board, Section, model_choice
from scripts.dashboards.panels import (
    ANY_IS_ODD,
    AnyPanel,
    Limits,
    Query,
    Words,
    number,
    rows,
    series,
    to_docs,
)
from scripts.dashboards.promql import MODEL, named, or_zero, rate, share, total


def access() -> Board:
    """Return the dashboard of keys, tokens, rights and limits."""
    return Board(
        board.ACCESS,
        "Watchgate / Access and limits",
        "Requests that were turned away: without a valid key or token, without the right, over a "
        "limit; and the issuers whose tokens are trusted.",
        [
            Section("Who shows no valid key or token?", _keys()),
            Section("Who may not what they ask?", _rights()),
            Section("Who asks too much?", _limits()),
            Section("Issuers of tokens", _issuers()),
        ],
        [model_choice()],
    )


def _keys() -> list[AnyPanel]:
    refused = or_zero(rate("auth_failures_total"))
    return [
        series(
            Words(
                "Without a valid key or token, by reason",
                "A spike of unknown keys is somebody who tries, or a key that was revoked in use. "
                "admin_token is the admin API.",
                "reqps",
            ),
            Query(or_zero(rate("auth_failures_total", by="reason"), reason="none"), "{{reason}}"),
            width=12,
            links=[to_docs("Keys", "keys"), to_docs("Identity", "identity")],
        ),
        series(
            Words(
                "Share of requests without a valid key",
                "Of all requests. A steady share is a client with an old key.",
                "percentunit",
            ),
            Query(or_zero(share(refused, rate("requests_total"))), "share"),
            width=6,
            limits=Limits(orange=0.05),
        ),
        shared.age_of_snapshot(6),
    ]


def _rights() -> list[AnyPanel]:
    denied = or_zero(rate("access_denied_total", MODEL, by="reason"), reason="none")
    return [
        series(
            Words(
                "Not allowed, by reason",
                "Requests with a valid key that may not make them; each is in the audit log.",
                "reqps",
            ),
            Query(denied, "{{reason}}"),
            links=[to_docs("Access", "access"), to_docs("Audit log", "audit")],
        ),
        rows(
            Words(
                "Not allowed, in the time shown",
                "By model and reason. account_suspended that goes on is a caller who does not "
                "give up.",
            ),
            Query(
                or_zero(
                    f"{total('access_denied_total', MODEL, by='model, reason')} > 0",
                    model="none",
                    reason="none",
                ),
                "requests",
            ),
            width=10,
            links=[to_docs("Access", "access")],
        ),
        number(
            Words(
                "Refusals told together",
                "Refusals that the audit log counts as one kind, since there were too many kinds "
                "at a time: somebody tries everything.",
            ),
            Query(or_zero(total("denials_overflow_total")), "refusals"),
            width=6,
            height=8,
            decimals=0,
            limits=ANY_IS_ODD,
            links=[to_docs("Audit log", "audit")],
        ),
    ]


def _limits() -> list[AnyPanel]:
    return [
        series(
            Words(
                "Over a limit, by kind",
                "Requests and connections that were turned away. Much of `connections` is a limit "
                "of the gateway itself, and hits everybody.",
                "reqps",
            ),
            Query(rate("rate_limited_total", by="kind"), "{{kind}}"),
            links=[to_docs("Limits", "limits")],
        ),
        series(
            Words(
                "While the store of limits was away",
                "Requests that were let in by the gateway's share of each limit or refused by it "
                "(share), or refused as such (refuse).",
                "reqps",
            ),
            Query(rate("limits_away_total", by="decision"), "{{decision}}"),
            links=[to_docs("When Redis is away", "limits", "when-redis-is-away")],
        ),
        series(
            Words(
                "Reservations given back for others",
                "Of gateways that fell silent: they died, or cannot reach the store of limits.",
                "suffix: /s",
            ),
            Query(rate("reservations_returned_total"), "returned"),
            links=[to_docs("Limits", "limits")],
        ),
        shared.tokens(12),
        series(
            Words(
                "Refused, by outcome",
                "The codes that callers were told, of those that are about them.",
                "reqps",
            ),
            Query(
                or_zero(
                    rate(
                        "requests_total",
                        f'{MODEL}, outcome=~"invalid_api_key|.+_not_allowed|account_suspended|'
                        "model_not_found|rate_limit_exceeded|budget_exceeded|invalid_request|"
                        'request_too_large|request_timeout|not_found|method_not_allowed"',
                        by="outcome",
                    ),
                    outcome="none",
                ),
                "{{outcome}}",
            ),
            width=12,
            stacked=True,
            links=[to_docs("Errors", "errors")],
        ),
    ]


def _issuers() -> list[AnyPanel]:
    age = f"time() - max by (issuer) ({named('issuer_keys_read_timestamp_seconds')} > 0)"
    return [
        series(
            Words(
                "Age of an issuer's keys",
                "Since they were last read. When they are too old its tokens are refused; an "
                "issuer whose keys were never read is not shown. 0: no issuer is trusted.",
                "s",
            ),
            Query(or_zero(age, issuer="none"), "{{issuer}}"),
            width=12,
            links=[to_docs("Identity", "identity")],
        ),
        series(
            Words(
                "Looks at issuers' keys",
                "By how they ended. Anything but ok, again and again, ends with its tokens "
                "refused.",
                "suffix: /h",
            ),
            Query(
                or_zero(
                    f"3600 * {rate('issuer_key_refreshes_total', by='issuer, outcome')}",
                    issuer="none",
                    outcome="none",
                ),
                "{{issuer}}: {{outcome}}",
            ),
            width=12,
            links=[to_docs("Identity", "identity")],
        ),
    ]
