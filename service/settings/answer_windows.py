"""Whether settings keep what a tier asks of answers: screened before they are released."""

from detectors.api import Part
from service.core.policies import HOLDING
from service.core.screening import BLOCK
from service.core.tiers import TIERS, Safeguard
from service.errors import ConfigError
from service.settings.sections import Settings


def check_answer_points(settings: Settings) -> None:
    """Refuse points that could never do what they ask for: a block needs an answer held back.

    Raises:
        ConfigError: naming the point and the model.
    """
    if settings.screening.observe_only:
        return
    for i, point in enumerate(settings.operating_points):
        if point.action != BLOCK or point.part is not Part.ANSWER:
            continue
        for model in settings.models:
            concerned = not point.models or model.name in point.models
            if concerned and settings.policy(model).answer_mode not in HOLDING:
                raise ConfigError(
                    f"operating_points[{i}].action: block on answers needs them held back, and "
                    f"those of the model {model.name!r} are observed: set screening.tiers."
                    f"{model.tier}.answer.mode to window or buffer, let the action be page, or "
                    "name the models that it is for"
                )


def check_answer_window(settings: Settings, i: int) -> None:
    """Refuse a model whose tier has answers held back, and whose settings let them go.

    Raises:
        ConfigError: naming the setting at fault.
    """
    model = settings.models[i]
    if Safeguard.ANSWER_WINDOW not in TIERS[model.tier].requires:
        return
    if settings.screening.observe_only:
        raise ConfigError(
            f"screening.observe_only: models[{i}] is of tier {model.tier}, whose answers are cut "
            "off where they cross a point that blocks"
        )
    if settings.policy(model).answer_mode not in HOLDING:
        raise ConfigError(
            f"models[{i}].screening.answer.mode: tier {model.tier} requires window or buffer"
        )
    if not any(
        point.action == BLOCK
        and point.part is Part.ANSWER
        and (not point.models or model.name in point.models)
        for point in settings.operating_points
    ):
        raise ConfigError(
            f"operating_points: models[{i}] is of tier {model.tier}, which requires a point on "
            "answers with action block"
        )
