"""What can be wrong with probes; the texts are for operators."""


class ProbeError(Exception):
    """The probes cannot be used as they are."""


class NotArmed(ProbeError):
    """They do not fit this vLLM, or the model that it serves."""
