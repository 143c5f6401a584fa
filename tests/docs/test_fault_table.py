"""The table in docs/faults.md: faults injected into real hosts, with what fedwiz said."""

import importlib
import re
from pathlib import Path

from tests.support.install_faults import Fault

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/faults.md").read_text()


def injected_rows() -> dict[str, Fault]:
    """Every row of every file in tests/lab/faults, by its name."""
    rows: dict[str, Fault] = {}
    for path in sorted(ROOT.glob("tests/lab/faults/test_*.py")):
        more: dict[str, Fault] = importlib.import_module(f"tests.lab.faults.{path.stem}").ROWS
        assert not rows.keys() & more.keys(), "one name for two faults"
        rows |= more
    return rows


def told() -> dict[str, list[str]]:
    """The rows: where, status, and what fedwiz says, by the fault's name."""
    table = TEXT[TEXT.index("<!-- faults") : TEXT.index("<!-- /faults -->")]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()[3:]]
    return {name: rest for name, *rest in lines}


def test_the_table_has_every_fault_that_is_injected_and_no_other() -> None:
    assert list(told()) == list(injected_rows())


def test_the_table_says_where_and_how_it_ends() -> None:
    for name, fault in injected_rows().items():
        where, status, sentence = told()[name]
        assert (where, status) == (fault.where, str(fault.code)), name
        if fault.code:  # else what is looked for is among the lines, and the table sums them up
            missing = [part for part in fault.says if not re.search(part, sentence)]
            assert not missing, (name, missing)
