"""`python -m fedwiz`, and the command `fedwiz`."""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until there is an ear for it: Ctrl+C while modules are loaded would end in a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

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
