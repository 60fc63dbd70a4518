"""Whether settings keep what a tier asks of answers: screened before they are released."""

from collections.abc import Iterator

from detectors.api import Part
from service.core.policies import HOLDING
from service.core.screening import BLOCK
from service.core.tiers import TIERS, Safeguard, unbuilt_safeguards
from service.settings.mistakes import Mistake
from service.settings.sections import Model, OperatingPoint, Settings


def check_answer_points(settings: Settings) -> Iterator[Mistake]:
    """Yield points that could never do what they ask for: a block needs an answer held back."""
    for i, point in enumerate(settings.operating_points):
        if point.part is Part.EXCHANGE and point.action == BLOCK:
            yield Mistake(
                ("operating_points", i, "action"),
                "an exchange is scored when it is over, so nothing is left to block: let the "
                "action be page",
            )
    if settings.screening.observe_only:
        return
    for i, point in enumerate(settings.operating_points):
        for model in settings.models:
            if not _blocks_answers(point, model) or _holds_answers(settings, model):
                continue
            yield Mistake(
                ("operating_points", i, "action"),
                "block on answers needs them held back, and those of the model "
                f"{model.name!r} are observed: set screening.tiers.{model.tier}.answer.mode to "
                "window or buffer, let the action be page, or name the models that it is for",
            )


def check_answer_windows(settings: Settings) -> Iterator[Mistake]:
    """Yield what lets answers go of models whose tier has them held back."""
    for i, model in enumerate(settings.models):
        requires = Safeguard.ANSWER_WINDOW in TIERS[model.tier].requires
        if requires and not unbuilt_safeguards(model.tier):
            yield from check_answer_window(settings, i)


def check_answer_window(settings: Settings, i: int) -> Iterator[Mistake]:
    """Yield what lets the answers of a model go, which are to be held back."""
    model = settings.models[i]
    if settings.screening.observe_only:
        yield Mistake(
            ("screening", "observe_only"),
            f"models[{i}] is of tier {model.tier}, whose answers are cut off where they cross a "
            "point that blocks",
        )
    if not _holds_answers(settings, model):
        yield Mistake(
            ("models", i, "screening", "answer", "mode"),
            f"tier {model.tier} requires window or buffer",
        )
    if not any(_blocks_answers(point, model) for point in settings.operating_points):
        yield Mistake(
            ("operating_points",),
            f"models[{i}] is of tier {model.tier}, which requires a point on answers with "
            "action block",
        )


def _holds_answers(settings: Settings, model: Model) -> bool:
    return settings.policy(model).answer_mode in HOLDING


def _blocks_answers(point: OperatingPoint, model: Model) -> bool:
    concerned = not point.models or model.name in point.models
    return concerned and point.action == BLOCK and point.part is Part.ANSWER
