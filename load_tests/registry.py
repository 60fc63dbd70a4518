"""Every system that can be measured, by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from load_tests.configs import VARIANTS
from load_tests.peers import litellm, portkey
from load_tests.systems import Start, direct, envoy, nginx, watchgate

SYSTEMS: Final[Mapping[str, Start]] = MappingProxyType(
    {
        "direct": direct,
        "nginx": nginx,
        "envoy": envoy,
        "portkey": portkey,
        "litellm": litellm,
        **{name: watchgate(name, variant) for name, variant in VARIANTS.items()},
    }
)
MAY_FAIL: Final = frozenset({"portkey", "litellm"})
"""What they cannot do is reported, and the run goes on; of the others it ends the run."""
