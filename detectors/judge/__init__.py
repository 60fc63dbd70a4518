"""The detector `judge`: a guard model behind an OpenAI-compatible URL; docs/judge.md."""

from detectors.judge.config import JudgeConfig
from detectors.judge.detector import FAMILIES, Judge
from detectors.judge.disagreement import Direction, disagreements
from detectors.judge.errors import KINDS, BadConfig, JudgeError
from detectors.judge.families import Family, Ruling
from detectors.judge.usage import Totals, Usage

__all__ = [
    "FAMILIES",
    "KINDS",
    "BadConfig",
    "Direction",
    "Family",
    "Judge",
    "JudgeConfig",
    "JudgeError",
    "Ruling",
    "Totals",
    "Usage",
    "disagreements",
]
