"""`python -m service.vllm`: the same as `watchgate vllm`."""

import argparse
import sys

from service.vllm.commands import EXAMPLE, add_arguments


def main() -> int:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(
        prog="watchgate vllm", epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    args = parser.parse_args()
    return int(args.run(args))


if __name__ == "__main__":
    sys.exit(main())
