"""vLLM, by its own metrics: the names of vLLM 0.32."""

from scripts.dashboards import board
from scripts.dashboards.board import Board, Section, choice
from scripts.dashboards.panels import (
    ANY_IS_BAD,
    GREEN,
    RED,
    AnyPanel,
    Limits,
    Query,
    Words,
    heat,
    number,
    series,
    states,
    to_board,
    to_docs,
)
from scripts.dashboards.promql import (
    buckets,
    count_of,
    mean,
    named,
    or_unknown,
    quantile,
    rate,
    share,
    total,
)

CHOSEN = 'model_name=~"$model"'
_FORWARDED = (
    'outcome=~"completed|cut_off|screen_failed|refused_by_upstream|upstream_timeout|'
    'upstream_broke|client_gone|revoked"'
)
"""Outcomes of what was sent to vLLM."""


def vllm() -> Board:
    """Return the dashboard of what stands behind the gateway."""
    return Board(
        board.VLLM,
        "Watchgate / vLLM",
        "What vLLM says of itself: load, memory, time, tokens; and whether anybody asks it past "
        "Watchgate. Prometheus scrapes it as the job `vllm`.",
        [
            Section("Is it up, and is it busy?", _load()),
            Section("Where does its time go?", _time()),
            Section("What does it do?", _work()),
            Section("Beside what Watchgate sees", _beside()),
            Section("What do probes inside it tell?", _probes()),
        ],
        [choice("model", "Model (as vLLM names it)",
                "label_values(vllm:num_requests_running, model_name)")],
    )  # fmt: skip


def _load() -> list[AnyPanel]:
    waiting = named("vllm:num_requests_waiting_by_reason", CHOSEN)
    awake = named("vllm:engine_sleep_state", f'{CHOSEN}, sleep_state="awake"')
    return [
        number(
            Words(
                "Servers down",
                "vLLMs that Prometheus does not reach; not known: it knows of none.",
            ),
            Query(count_of(named("up", 'job="vllm"'), "== 0"), "down"),
            limits=ANY_IS_BAD,
            links=[to_board("Gateway", board.GATEWAY), to_docs("vLLM", "vllm")],
        ),
        number(
            Words("Requests at work", "Requests in the batches of the model now."),
            Query(or_unknown(f"sum({named('vllm:num_requests_running', CHOSEN)})"), "running"),
            width=5,
        ),
        number(
            Words("Requests waiting", "That wait for a place in a batch: lasting ones are too "
                  "much load for these servers."),
            Query(or_unknown(f"sum({named('vllm:num_requests_waiting', CHOSEN)})"), "waiting"),
            width=5,
            limits=Limits(orange=1, red=20),
        ),
        number(
            Words("KV cache in use", "The fullest engine's. Near 1 requests wait, or are "
                  "preempted and computed anew.", "percentunit"),
            Query(or_unknown(f"max({named('vllm:kv_cache_usage_perc', CHOSEN)})"), "in use"),
            width=5,
            limits=Limits(orange=0.8, red=0.95),
        ),
        number(
            Words("Preemptions", "Requests that were put off for lack of KV cache, in the time "
                  "shown."),
            Query(or_unknown(total("vllm:num_preemptions_total", CHOSEN)), "preemptions"),
            width=5,
            limits=Limits(orange=1),
            decimals=0,
        ),
        series(
            Words("Running and waiting", "Waiting by reason: capacity, or deferred for a while "
                  "(adapters, transfers)."),
            Query(f"sum({named('vllm:num_requests_running', CHOSEN)})", "running"),
            Query(f"sum by (reason) ({waiting})", "waiting: {{reason}}"),
        ),
        series(
            Words("KV cache in use, by server", "1 is full.", "percentunit"),
            Query(f"max by (instance, engine) ({named('vllm:kv_cache_usage_perc', CHOSEN)})",
                  "{{instance}}, engine {{engine}}"),
            limits=Limits(orange=0.8, red=0.95),
        ),
        states(
            Words("Engines awake", "An engine that was put to sleep by /sleep serves nobody. "
                  "That path belongs to nobody but you: see the perimeter."),
            Query(f"min by (instance, engine) ({awake})", "{{instance}}, engine {{engine}}"),
            {"0": ("asleep", RED), "1": ("awake", GREEN)},
            width=8,
            links=[to_docs("Only the gateway may reach vLLM", "vllm",
                           "only-the-gateway-may-reach-vllm")],
        ),
    ]  # fmt: skip


def _time() -> list[AnyPanel]:
    parts = {"in the queue": "queue", "prefill": "prefill", "decode": "decode"}
    return [
        series(
            Words("A request's time, by phase", "The mean. Queue grows with load, prefill with "
                  "prompts, decode with answers.", "s"),
            *(Query(mean(f"vllm:request_{name}_time_seconds", CHOSEN), legend)
              for legend, name in parts.items()),
            stacked=True,
        ),
        series(
            Words("First token", "From vLLM's own view, the queue included.", "s"),
            *(Query(quantile(q, "vllm:time_to_first_token_seconds", CHOSEN), f"p{100 * q:g}")
              for q in (0.5, 0.95, 0.99)),
        ),
        series(
            Words("Between tokens", "What a reader of a stream feels.", "s"),
            *(Query(quantile(q, "vllm:inter_token_latency_seconds", CHOSEN), f"p{100 * q:g}")
              for q in (0.5, 0.95, 0.99)),
        ),
        series(
            Words("Whole requests", "From arrival to the last token.", "s"),
            *(Query(quantile(q, "vllm:e2e_request_latency_seconds", CHOSEN), f"p{100 * q:g}")
              for q in (0.5, 0.95, 0.99)),
        ),
        heat(
            Words("First tokens by time", "A second band are requests that waited, or long "
                  "prompts.", "s"),
            buckets("vllm:time_to_first_token_seconds", CHOSEN),
        ),
        heat(
            Words("Waits in the queue", "Any band above the lowest is load.", "s"),
            buckets("vllm:request_queue_time_seconds", CHOSEN),
        ),
    ]  # fmt: skip


def _work() -> list[AnyPanel]:
    hits, asked = (rate(f"vllm:prefix_cache_{it}_total", CHOSEN) for it in ("hits", "queries"))
    return [
        series(
            Words("Tokens", "Of prompts, and of answers.", "suffix: tokens/s"),
            Query(rate("vllm:prompt_tokens_total", CHOSEN), "prompt"),
            Query(rate("vllm:generation_tokens_total", CHOSEN), "answer"),
        ),
        series(
            Words("Prompt tokens found in the prefix cache", "Share. Watchgate sends prompts that "
                  "begin alike to one replica, which this shows.", "percentunit"),
            Query(share(hits, asked), "found"),
            links=[to_docs("Several replicas", "operations", "several-replicas")],
        ),
        series(
            Words("Finished, by reason", "abort: the caller went away, or Watchgate cut the "
                  "answer off. error: vLLM's log says why.", "reqps"),
            Query(rate("vllm:request_success_total", CHOSEN, by="finished_reason"),
                  "{{finished_reason}}"),
            stacked=True,
        ),
        series(
            Words("Length of prompts", "Of the requests that it finished.", "suffix: tokens"),
            *(Query(quantile(q, "vllm:request_prompt_tokens", CHOSEN), f"p{100 * q:g}")
              for q in (0.5, 0.95)),
        ),
        series(
            Words("Length of answers", "Of the requests that it finished.", "suffix: tokens"),
            *(Query(quantile(q, "vllm:request_generation_tokens", CHOSEN), f"p{100 * q:g}")
              for q in (0.5, 0.95)),
        ),
        series(
            Words("Not admitted, and preempted", "Requests that vLLM refused since its queue was "
                  "full, by the limit, and preemptions.", "reqps"),
            Query(rate("vllm:admission_rejections_total", CHOSEN, by="reason"), "{{reason}}"),
            Query(rate("vllm:num_preemptions_total", CHOSEN), "preempted"),
        ),
    ]  # fmt: skip


def _beside() -> list[AnyPanel]:
    sent = rate("requests_total", _FORWARDED)
    return [
        series(
            Words("First token, mean: vLLM's view and Watchgate's", "Of streams that Watchgate "
                  "sent. What lies between is the network, the gateway and vLLM's own server.",
                  "s"),
            Query(mean("vllm:time_to_first_token_seconds"), "in vLLM"),
            Query(mean("upstream_time_to_first_token_seconds"), "at Watchgate"),
            Query(mean("time_to_first_token_seconds"), "to the caller"),
            width=12,
        ),
        series(
            Words("Is vLLM asked past Watchgate?", "Requests that all vLLMs finished, and those "
                  "that Watchgate sent (without judges'; a request with n choices may count n "
                  "times). More at vLLM, for long, is somebody who reaches it directly.",
                  "reqps"),
            Query(rate("vllm:request_success_total"), "finished by vLLM"),
            Query(sent, "sent by Watchgate"),
            width=12,
            links=[to_docs("Only the gateway may reach vLLM", "vllm",
                           "only-the-gateway-may-reach-vllm")],
        ),
    ]  # fmt: skip


def _probes() -> list[AnyPanel]:
    docs = [to_docs("Activation probes", "probes")]
    return [
        series(
            Words("Plugins that tell", "Plugins in vLLM that tell the gateway now, of the process "
                  "that the fewest tell: as many as there are engines, or probes are not on.",
                  "short"),
            Query(f"min by (upstream) ({named('probe_engines')})", "{{upstream}}"),
            width=8,
            links=docs,
        ),
        series(
            Words("Readings of exchanges", "What plugins told, by whether the exchange was open, "
                  "had ended, or was of no gateway: somebody asks vLLM past it.", "ops"),
            Query(rate("probe_updates_total", by="outcome"), "{{outcome}}"),
            width=8,
            links=docs,
        ),
        series(
            Words("Plugins that are not listened to", "Connections that were closed, by the "
                  "reason.", "ops"),
            Query(rate("probe_connections_refused_total", by="reason"), "{{reason}}"),
            width=8,
            links=docs,
        ),
    ]  # fmt: skip
