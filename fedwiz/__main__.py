"""`python -m fedwiz`, and the command `fedwiz`."""

import sys

from fedwiz import cli


def main() -> int:
    """Carry the command line out."""
    return cli.main(screens=_screens)


def _screens() -> cli.Screens:
    """What the command line opens where there is a terminal for it."""
    from screens import app

    return app


if __name__ == "__main__":
    sys.exit(main())
