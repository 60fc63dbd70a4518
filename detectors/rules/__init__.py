"""A detector that is a set of rules people can read: YAML, matched in linear time."""

from detectors.rules.detector import NAME, SHIPPED, Reason, Rules, load

__all__ = ["NAME", "SHIPPED", "Reason", "Rules", "load"]
