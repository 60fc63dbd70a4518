"""Every fault, in the order of the table: those of one stand come one after another."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from load_tests.faults import kafka, machine, processes, services, upstream
from load_tests.faults.fault import Fault
from load_tests.faults.stands import STANDS

_ALL: Final = (
    *processes.FAULTS,
    *upstream.FAULTS,
    *machine.FAULTS,
    *services.FAULTS,
    *kafka.FAULTS,
)
FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {fault.name: fault for stand in STANDS for fault in _ALL if fault.stand == stand}
)
