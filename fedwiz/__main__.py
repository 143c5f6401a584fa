"""`python -m fedwiz`, and the command `fedwiz`."""

import sys


def main() -> int:
    """Carry the command line out."""
    from fedwiz import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
