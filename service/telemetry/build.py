"""Which Watchgate this is."""

from importlib.metadata import PackageNotFoundError, version


def build_version() -> str:
    """Return the version that is installed, or "unknown" where the code was only copied."""
    try:
        return version("watchgate")
    except PackageNotFoundError:
        return "unknown"
