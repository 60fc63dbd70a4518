"""`watchgate audit`: who did what, and whether the log of it is what was written."""

import argparse

from service.commands import audit_export, audit_verify


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `audit` and its commands."""
    parser = commands.add_parser(
        "audit", help="verify and export the audit log", description="The audit log."
    )
    leaves = parser.add_subparsers(metavar="COMMAND", required=True)
    audit_verify.add_leaf_to(leaves)
    audit_export.add_leaves_to(leaves)
