"""Whether settings keep what a tier asks of answers: screened before they are released."""

from detectors.api import Part
from service.core.policies import HOLDING
from service.core.screening import BLOCK
from service.core.tiers import TIERS, Safeguard
from service.errors import ConfigError
from service.settings.sections import Settings


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
