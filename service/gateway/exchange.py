"""One exchange on its way through the gateway: what is known of it, and its two events."""

import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Final, Protocol, Self

import msgspec

from service.core.access import ModelTerms
from service.core.callers import Caller
from service.core.gate import AnswerGate
from service.core.policies import policy_of
from service.core.probed import Probed
from service.core.probed_gate import ProbedGate
from service.core.screens import ModelScreens
from service.core.surfaces.answers import AnswerReader, Place
from service.core.surfaces.shape import Request, Surface
from service.core.tiers import Tier
from service.core.trace_context import sampled
from service.events.log import Durability, Position
from service.events.schema import Closed, Opened, Outcome, Receipt, Timings
from service.gateway import problems
from service.gateway.balancer import Balancer, Prompt
from service.gateway.prompt_screen import PromptFinding, PromptScreen
from service.gateway.screening_records import ScreeningRecords

_PROMPTS: Final = ("messages", "input", "prompt")
"""The fields that hold a conversation, whatever the surface."""


class Variants(Protocol):
    """A model that is not the same for all who ask."""

    def of(self, project: str, surface: str) -> "ServedModel":
        """Return the model as it is for a project's requests on a surface."""
        ...


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A registered model as the gateway serves it."""

    name: str
    upstream_model: str
    tier: Tier
    upstream: Balancer
    evidence: Durability
    """The level that records reach before bytes are released."""
    name_edit: tuple[bytes, bytes] | None
    """The model's field in the upstream's answers and in ours; None: they are the same."""
    screens: ModelScreens
    prompt_screen: PromptScreen | None
    """None: nothing blocks a prompt, so the workers alone score it."""
    screening: ScreeningRecords
    access: ModelTerms
    """What is asked of whoever uses it."""
    ends_answers: bool = False
    """Answers under way end when their key is revoked or their account suspended."""
    context_tokens: int | None = None
    """How many a prompt and its answer may have together; None: it is not known."""
    variants: Variants | None = None
    """None: it has the same screens for all projects and surfaces."""
    probes_required: bool | None = None
    """Whether it is served only while probes tell; None: its upstream has none."""

    @classmethod
    def of(  # noqa: PLR0913  (what the settings say of a model)
        cls,
        name: str,
        upstream_model: str,
        tier: Tier,
        upstream: Balancer,
        screens: ModelScreens | None = None,
        *,
        access: ModelTerms | None = None,
        ends_answers: bool | None = None,
        context_tokens: int | None = None,
        probes_required: bool | None = None,
    ) -> Self:
        """Make a model from what the settings say; without screens the workers alone score it."""
        screens = screens or ModelScreens(policy_of(tier.number))
        edit = (_model_field(upstream_model), _model_field(name))
        return cls(
            name=name,
            upstream_model=upstream_model,
            tier=tier,
            upstream=upstream,
            evidence=Durability.SYNCED if tier.evidence == "synced" else Durability.WRITTEN,
            name_edit=None if name == upstream_model else edit,
            screens=screens,
            prompt_screen=_prompt_screen(screens),
            screening=ScreeningRecords.of(screens),
            access=access or ModelTerms(name, tier.number, end_users=tier.end_users),
            ends_answers=tier.ends_answers if ends_answers is None else ends_answers,
            context_tokens=context_tokens,
            probes_required=probes_required,
        )

    def screened_by(self, screens: ModelScreens) -> "ServedModel":
        """Return the model behind other screens, for all the same.

        What was found in prompts is remembered on, if the points on prompts are as before.
        """
        is_same = (screens.prompt, screens.policy) == (self.screens.prompt, self.screens.policy)
        return replace(
            self,
            screens=screens,
            prompt_screen=self.prompt_screen if is_same else _prompt_screen(screens),
            screening=ScreeningRecords.of(screens),
            variants=None,
        )

    def with_variants(self, variants: Variants) -> "ServedModel":
        """Return the model that is not the same for all who ask."""
        return replace(self, variants=variants)

    @property
    def strict_parameters(self) -> bool:
        """Whether parameters are an allow-list: by the tier, or since an answer is held back.

        What is not on the list might bring its text in a form that nobody screens.
        """
        return self.tier.strict_parameters or self.screens.holds_answers

    def gate(self, exchange_id: str) -> AnswerGate | None:
        """Return the gate for an exchange's answer; None: it is relayed as it comes."""
        screens = self.screens
        if not screens.holds_answers:
            return None
        probes = self.upstream.probes if screens.readings else None
        if probes is None:
            return AnswerGate(screens)
        return ProbedGate(screens, partial(probes.grown, exchange_id))


def _prompt_screen(screens: ModelScreens) -> PromptScreen | None:
    return PromptScreen(screens) if screens.prompt else None


def _model_field(name: str) -> bytes:
    return b'"model":' + msgspec.json.encode(name)


class ExchangeIds:
    """Ids that no other process makes: a random start for each boot, and a counter."""

    def __init__(self, boot: str) -> None:
        """Start counting; `boot` are 16 random hexadecimal digits."""
        self.boot = boot
        self._numbers = count(1)
        self._served = count(1)
        self._given_back: list[int] = []

    def next(self) -> str:
        """Return a new exchange id, `ex-` and 24 hexadecimal digits."""
        return f"ex-{self.boot}{next(self._numbers):08x}"

    def next_served(self) -> int:
        """Count an exchange of which a byte is about to be released."""
        return self._given_back.pop() if self._given_back else next(self._served)

    def give_back(self, number: int) -> None:
        """Let the next exchange have a number: of its own nothing was released or recorded."""
        self._given_back.append(number)


class Exchange(msgspec.Struct, kw_only=True, eq=False):
    """A request that was let in. Times are Unix seconds, `started` is of the monotonic clock."""

    id: str
    ids: ExchangeIds
    received_at: float
    started: float
    caller: Caller
    surface: Surface
    model: ServedModel
    request: Request
    caller_request_id: str | None
    traceparent: str | None
    """Of the gateway's own span if it makes one, else as the caller gave it."""
    reader: AnswerReader
    upload_s: float = 0.0
    """Until the request's body had come, where it did not come with its head."""
    finding: PromptFinding | None = None
    """What screening the prompt came to; None: it is left to the workers."""
    gate: AnswerGate | None = None
    """What the answer has to pass; None: nothing."""
    max_tokens: int | None = None
    """What the answer is to be bounded to; None: as the request says."""
    replica: str | None = None
    """The one of the upstream's that the request was sent to, last."""
    status: int | None = None
    """Of the upstream's answer."""
    served_number: int = 0
    upstream_first_byte_s: float | None = None
    first_byte_s: float | None = None
    first_text_s: float | None = None
    """Until text was released, where it had to pass a gate."""
    position: Position | None = None
    """Of `opened`, once it has reached the level that the tier names."""

    @property
    def prompt(self) -> Prompt:
        """The prompt as the caller wrote it: the conversation, without what is set beside it."""
        fields = self.request.fields
        return next((fields[name] for name in _PROMPTS if name in fields), b"")

    def elapsed_s(self) -> float:
        """Return the seconds since the request was received."""
        return time.perf_counter() - self.started

    def note_release(self) -> None:
        """Note that a byte of answer is about to be released, the first time that one is."""
        if self.first_byte_s is None:
            self.first_byte_s = self.elapsed_s()
            self.served_number = self.ids.next_served()

    def take_back_release(self) -> None:
        """Note that nothing was released after all: its number would tell of an answer."""
        if self.served_number:
            self.ids.give_back(self.served_number)
            self.served_number, self.first_byte_s = 0, None

    @property
    def place(self) -> Place:
        """Where the stream stands for the caller: as far as it was released."""
        return self.reader.place if self.gate is None else self.gate.place

    def note_text(self) -> None:
        """Note that text may have left the gate."""
        gate = self.gate
        if gate is not None and self.first_text_s is None and gate.released_chars:
            self.first_text_s = self.elapsed_s()

    def opened(self) -> Opened:
        """Return the event of being let in."""
        return Opened(
            exchange_id=self.id,
            at=self.received_at,
            account=self.caller.account,
            project=self.caller.project,
            key=self.caller.key_id,
            model=self.model.name,
            surface=self.surface.name,
            tier=self.model.tier.number,
            upstream=self.model.upstream.name,
            stream=self.request.stream,
            caller_request_id=self.caller_request_id,
            traceparent=self.traceparent,
            screening=None if self.finding is None else self.model.screening.prompt(self.finding),
        )

    def closed(self, outcome: Outcome, probed: Probed | None = None) -> Closed:
        """Return the event of having ended; `probed`: what was seen inside the model."""
        usage = self.reader.usage
        position = self.position
        gate = self.gate
        total_s = self.elapsed_s()
        released = self.first_byte_s is not None  # if nothing was, an error is told in its place
        status = self.status if released else problems.status_of(outcome)
        return Closed(
            exchange_id=self.id,
            at=self.received_at + total_s,
            account=self.caller.account,
            project=self.caller.project,
            key=self.caller.key_id,
            model=self.model.name,
            surface=self.surface.name,
            tier=self.model.tier.number,
            traceparent=sampled(self.traceparent),
            outcome=outcome,
            opened_at=self.received_at,
            served_number=self.served_number,
            boot=self.ids.boot,
            replica=self.replica,
            status=status,
            upstream_status=None if self.status == status else self.status,
            finish_reasons=tuple(self.reader.finish_reasons.values()),
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            timings=Timings(total_s, self.first_byte_s, self.upstream_first_byte_s),
            generated_chars=gate.generated_chars if gate else None,
            released_chars=gate.released_chars if gate else None,
            screening=self.model.screening.answer(gate) if gate else None,
            receipt=Receipt(*position) if position else None,
            probed=probed,
        )
