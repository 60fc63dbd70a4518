"""What a soak saw, as a table in Markdown."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any


def soak_table(figures: Mapping[str, Any], problems: Sequence[str]) -> str:
    """One row a figure; what is wrong stands below."""
    memory, handles, ended = figures["memory_mib"], figures["handles"], figures["ended"]
    counted = figures["counted"]
    rows = {
        "streams at once, for how long": (
            f"{figures['most_open']:,}, {figures['seconds'] / 60:g} minutes"
        ),
        "exchanges: whole, left by their callers, broken by a reset": ", ".join(
            f"{ended.get(name, 0):,}" for name in ("completed", "vanished", "broken")
        ),
        "served, recorded, screened by the counters": ", ".join(
            f"{counted[name]:,.0f}" for name in ("served", "recorded", "screened")
        ),
        "most gaps in coverage at any time": f"{figures['most_gaps']:g}",
        "memory of all processes: first, middle of the second half, highest": ", ".join(
            f"{memory[name]:.0f} MiB" for name in ("first", "middle", "highest")
        ),
        "its rise over the second half": (
            f"{memory['rise']:.1f} MiB, {memory['rise_share']:.1%} (bound: 3 %)"
        ),
        "open files: before, middle of the second half, at the end": (
            f"{figures['handles_before']:,}, {handles['middle']:,.0f}, {figures['handles_after']:,}"
        ),
        "their rise over the second half": (
            f"{handles['rise']:.0f}, {handles['rise_share']:.1%} (bound: 3 %)"
        ),
        "holds": "yes" if not problems else "**no**",
    }
    day = time.strftime("%d %B %Y", time.gmtime()).lstrip("0")
    where = f"{day}, on {os.cpu_count()} cores, load average {os.getloadavg()[0]:.0f} at the end."
    lines = [where, "", "| what | seen |", "|---|---|"]
    lines += [f"| {name} | {seen} |" for name, seen in rows.items()]
    return "\n".join([*lines, *(f"\n- {problem}" for problem in problems)])
