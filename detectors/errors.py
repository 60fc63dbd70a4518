"""What goes wrong with detectors; no message holds text of a prompt or an answer.

DetectorError
├── ArtefactError    a model's files are missing, altered, or of a kind we do not trust
├── DataError        rows, licences or floors that cannot be read or used
├── JudgeError       a guard model gave no score; its kinds are told in judge/errors.py
└── BadConfig        settings that no judge can be made of; stands there, too
"""


class DetectorError(Exception):
    """The root of this package's errors."""


class ArtefactError(DetectorError):
    """A model cannot be loaded, or may not be."""


class DataError(DetectorError):
    """Data for training or evaluation is missing or malformed."""
