"""Settings of screening policies: changes to what a tier says by itself."""

from typing import Annotated

from pydantic import Field, PositiveFloat

from service.core.policies import AnswerMode, OnError
from service.settings.base import Section


class PromptPolicy(Section):
    """How prompts are screened before they are forwarded; what is not given is the tier's."""

    deadline_ms: PositiveFloat | None = None
    on_error: OnError | None = None


class AnswerPolicy(Section):
    """When answers are released; what is not given is the tier's."""

    mode: AnswerMode | None = None
    window_chars: Annotated[int, Field(ge=1, le=100_000)] | None = None
    on_error: OnError | None = None


class ScreeningPolicy(Section):
    """Changes to how a tier is screened: core.policies.Changes reads them."""

    prompt: PromptPolicy = PromptPolicy()
    answer: AnswerPolicy = AnswerPolicy()

    @property
    def prompt_deadline_s(self) -> float | None:
        """How long screening one prompt may take."""
        return None if self.prompt.deadline_ms is None else self.prompt.deadline_ms / 1000

    @property
    def prompt_on_error(self) -> OnError | None:
        """What follows when a prompt cannot be screened."""
        return self.prompt.on_error

    @property
    def answer_mode(self) -> AnswerMode | None:
        """When text of an answer is released."""
        return self.answer.mode

    @property
    def window_chars(self) -> int | None:
        """How much stays back in mode `window`."""
        return self.answer.window_chars

    @property
    def answer_on_error(self) -> OnError | None:
        """What follows when an answer cannot be screened."""
        return self.answer.on_error
