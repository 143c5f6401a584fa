"""The argparse definition of the command line: verbs and their options."""

import argparse
from collections.abc import Sequence

from fedwiz import __version__

EXIT_STATUSES = """\
exit status:
  0  ok                         5    install failed; the same command continues
  1  internal error             7    verification failed
  2  usage, or invalid answers  8    another run has the lock
  3  a check blocks             9    the plan is stale
  4  host unreachable, or       130  interrupted
     authentication failed
"""


OWN_OPTIONS = ("-h", "--help", "--version")
"""Options of fedwiz itself; any other option before a verb belongs to the wizard."""


def with_verb(argv: Sequence[str]) -> list[str]:
    """Add the verb `wizard` to a command line that has none."""
    wizard = not argv or (argv[0].startswith("-") and argv[0] not in OWN_OPTIONS)
    return ["wizard", *argv] if wizard else list(argv)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="fedwiz",
        description="Installs a flannel overlay network on Fedora hosts and verifies "
        "that it works.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"fedwiz {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    answers = _answer_options()
    shared = _cluster_options(answers)

    about = "Ask for what is missing, install, verify; also what fedwiz does without a verb."
    _plain(_verb(verbs, "wizard", about, [answers]))
    find = _verb(verbs, "discover", "Look for hosts that answer ssh.", [])
    _discover(find)
    _report(_verb(verbs, "check", "Read the hosts and judge them; change nothing.", [shared]))
    plan = _verb(verbs, "plan", "Show everything that an install would do.", [shared])
    _plan(plan)
    install = _verb(verbs, "install", "Check, plan, apply, verify.", [shared])
    _install(install)
    resume = _verb(verbs, "resume", "Resume an interrupted install or undo.", [shared])
    resume.add_argument(
        "run",
        metavar="RUN",
        nargs="?",
        default="",
        help="its id, or the beginning of it; the latest by default",
    )
    _approval(resume)
    _report(resume)
    verify = _verb(verbs, "verify", "Verify the network, on any cluster.", [shared])
    _report(verify)
    _verify(verify)
    diagnose = _verb(
        verbs, "diagnose", "Find out why two nodes do not reach each other, and fix it.", [shared]
    )
    _diagnose(diagnose)
    undo = _verb(verbs, "undo", "Undo an install, or what a fix did.", [shared])
    undo.add_argument(
        "run",
        nargs="?",
        default="",
        metavar="RUN",
        help="of a diagnosis: its id, or the beginning of it; without one: the "
        "install, back to what was kept on the hosts before it",
    )
    undo.add_argument("--host", default="", metavar="NAME", help="take back this node alone")
    _approval(undo)
    _verb(verbs, "watch", "Watch the run that has the cluster's lock.", [shared])
    demo = _verb(verbs, "demo", "The same on a practice cluster: no root, no network.", [shared])
    _demo(demo)
    runs = _verb(verbs, "runs", "List the recorded runs.", [])
    runs.add_argument("--json", action="store_true", help="one JSON document on stdout")
    replay = _verb(verbs, "replay", "Play back a recorded run.", [])
    replay.add_argument("run", metavar="RUN", help="its id, the beginning of it, or a file")
    replay.add_argument(
        "--speed",
        type=_speed,
        default=None,
        metavar="N",
        help="N times as fast as it was, at a terminal on the install's screen; "
        "0, the default: at once",
    )
    replay.add_argument("--plain", action="store_true", help="in lines, also at a terminal")
    replay.add_argument("--json", action="store_true", help="the records, one a line, on stdout")
    schema = _verb(verbs, "schema", "Print the JSON Schema of answers, or of reports.", [])
    schema.add_argument(
        "document",
        nargs="?",
        choices=("answers", "report"),
        default="answers",
        metavar="DOCUMENT",
        help="answers, the default: the answer file's; report: that of --json and of a report",
    )
    validate = _verb(verbs, "validate", "Judge an answer file; no network.", [])
    validate.add_argument("file", metavar="FILE")
    validate.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets")
    validate.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return top


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    about: str,
    parents: Sequence[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name, help=about, description=about, parents=list(parents), allow_abbrev=False
    )


def _answer_options() -> argparse.ArgumentParser:
    """Options that provide the answers."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("-a", "--answers", metavar="FILE", help="the answer file, TOML")
    options.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="sets",
        help="override an answer of the file, as network.cidr=...; "
        "a host's as host.NAME.interface=...; may be given often",
    )
    return options


def _plain(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--plain", action="store_true", help="numbered prompts, one line per event, no screens"
    )


def _cluster_options(answers: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of every verb that connects to the hosts."""
    shared = argparse.ArgumentParser(add_help=False, parents=[answers])
    shared.add_argument("--json", action="store_true", help="one JSON document on stdout")
    shared.add_argument(
        "--accept-new-host-keys",
        action="store_true",
        help="take the key of a host that known_hosts does not have",
    )
    shared.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="CHECK[,CHECK]",
        help="treat this check's failure as a warning",
    )
    return shared


def _discover(find: argparse.ArgumentParser) -> None:
    find.add_argument(
        "targets", nargs="*", metavar="TARGET", help="a CIDR, a range (192.168.122.10-40), a name"
    )
    find.add_argument("--ssh-config", action="store_true", help="also the hosts of ~/.ssh/config")
    find.add_argument("--known-hosts", action="store_true", help="also those of known_hosts")
    find.add_argument("--libvirt", action="store_true", help="also libvirt's DHCP leases")
    find.add_argument("--port", type=int, default=22, metavar="N", help="ssh's port, 22")
    find.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _plan(plan: argparse.ArgumentParser) -> None:
    plan.add_argument(
        "--shell", action="store_true", help="as one script per host, to be run by hand"
    )
    plan.add_argument("--host", metavar="NAME", help="with --shell: this host's script alone")


def _diagnose(diagnose: argparse.ArgumentParser) -> None:
    diagnose.add_argument("sender", metavar="A", help="the node that pings")
    diagnose.add_argument("receiver", metavar="B", help="the node that is to answer")
    _remedy(diagnose)
    _approval(diagnose)


def _remedy(diagnose: argparse.ArgumentParser) -> None:
    diagnose.add_argument(
        "--apply", action="store_true", help="show the fix as a plan, and run it once you approve"
    )
    diagnose.add_argument(
        "--cause", default="", metavar="NAME", help="with --apply: the fix of this cause instead"
    )


def _approval(verb: argparse.ArgumentParser) -> None:
    approval = verb.add_mutually_exclusive_group()
    approval.add_argument("--yes", action="store_true", help="approve the plan, whatever it is")
    approval.add_argument(
        "--approve", metavar="DIGEST", help="approve the plan of this digest only"
    )
    verb.add_argument("--headless", action="store_true", help="one line per event, no screens")


def _report(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--report",
        metavar="FILE",
        help="write the report there, as its ending says: .md, .json, .html, or .xml for JUnit's",
    )


def _verify(verify: argparse.ArgumentParser) -> None:
    verify.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="KIND[,KIND]",
        help="only address, lease, subnet_env, peer, ping or mtu",
    )
    verify.add_argument("--pair", metavar="A,B", help="only these two nodes")
    verify.add_argument(
        "--watch",
        nargs="?",
        type=_speed,
        const=5.0,
        metavar="SECONDS",
        help="again and again, with 5 seconds or so many between, until Ctrl+C",
    )
    verify.add_argument("--count", type=_rounds, metavar="N", help="with --watch: N times")


def _install(install: argparse.ArgumentParser) -> None:
    _approval(install)
    _report(install)
    install.add_argument("--no-verify", action="store_true", help="leave the verification out")


VERBS = ("discover", "check", "plan", "install", "verify", "diagnose", "undo")


def _demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument(
        "work",
        nargs="?",
        choices=VERBS,
        metavar="VERB",
        help=f"{', '.join(VERBS)}; without one: the wizard, or install --yes "
        "where nobody can be asked",
    )
    demo.add_argument(
        "sender", nargs="?", default="", metavar="A", help="with diagnose: the node that pings"
    )
    demo.add_argument(
        "receiver",
        nargs="?",
        default="",
        metavar="B",
        help="with diagnose: the node that is to answer",
    )
    demo.add_argument(
        "--hosts", type=int, default=4, metavar="N", help="the master and N-1 nodes, 4 by default"
    )
    demo.add_argument(
        "--fault",
        default="",
        metavar="NAME",
        help="something that is wrong there; `list` names them",
    )
    demo.add_argument(
        "--pace",
        type=_speed,
        default=None,
        metavar="N",
        help="real seconds for a practice second; 0: no waiting",
    )
    _plain(demo)
    _plan(demo)
    _install(demo)
    _verify(demo)
    _remedy(demo)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return speed


def _rounds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0 and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)
