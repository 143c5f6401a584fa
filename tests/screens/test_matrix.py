"""The matrix: what is drawn, and where the arrows lead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from screens.themes import DARK
from screens.widgets.matrix import Cell, Matrix
from tests.support.pilot import resize, shown

Cells = dict[tuple[str, str], Cell]


class Bare(App[None]):
    """A matrix and nothing else."""

    def __init__(self, matrix: Matrix) -> None:
        super().__init__()
        self.matrix, self.moves = matrix, 0

    def compose(self) -> ComposeResult:
        yield self.matrix

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.theme = DARK.name

    def on_matrix_moved(self) -> None:
        self.moves += 1


def named(count: int) -> list[str]:
    return [f"fed-node{number}" for number in range(1, count + 1)]


def all_pass(nodes: list[str], **other: str) -> Cells:
    """Every pair passes, but for those given as `n1_2="fail"`, by their numbers."""
    cells = {(one, two): Cell("pass", "3/3") for one in nodes for two in nodes if one != two}
    for pair, word in other.items():
        one, two = pair.lstrip("n").split("_")
        cells[nodes[int(one) - 1], nodes[int(two) - 1]] = Cell(word, "0/3")
    return cells


@asynccontextmanager
async def drawn(
    nodes: list[str],
    cells: Cells,
    size: tuple[int, int] = (80, 24),
    matrix: Matrix | None = None,
) -> AsyncIterator[tuple[Pilot[Any], Matrix]]:
    matrix = matrix or Matrix()
    async with Bare(matrix).run_test(size=size) as pilot:
        matrix.show(nodes, cells)
        matrix.focus()
        await pilot.pause()
        yield pilot, matrix


async def test_every_word_has_its_sign() -> None:
    nodes = named(5)
    cells = all_pass(nodes, n1_2="warn", n1_3="fail", n1_4="skipped")
    del cells["fed-node1", "fed-node5"]
    async with drawn(nodes, cells, (60, 24)) as (pilot, _):
        assert shown(pilot.app).splitlines()[:3] == [
            " from, to     1  2  3  4  5",
            " 1 fed-node1  . [!] X  -  ?",
            " 2 fed-node2  +  .  +  +  +",
        ]


async def test_where_there_is_room_columns_have_names_and_cells_say_more() -> None:
    async with drawn(named(3), all_pass(named(3), n1_3="fail")) as (pilot, _):
        assert shown(pilot.app).splitlines()[:3] == [
            " from, to     1 fed-node1  2 fed-node2  3 fed-node3",
            " 1 fed-node1  .           [+ 3/3]       X 0/3",
            " 2 fed-node2  + 3/3        .            + 3/3",
        ]


async def test_what_the_signs_mean_stands_below() -> None:
    async with drawn(named(9), all_pass(named(9))) as (pilot, _):
        assert shown(pilot.app).splitlines()[10] == (
            " + pings  ! warning  X does not ping  - not tried  ? not known  . itself"
        )


KEYS = [
    ("", (1, 2)),
    ("down", (2, 2)),
    ("right down", (2, 3)),
    ("left", (1, 1)),
    ("left left left", (1, 1)),
    ("up", (1, 2)),
    ("end", (1, 9)),
    ("end right", (1, 9)),
    ("end home", (1, 1)),
    ("pagedown", (9, 2)),
    ("pagedown down", (9, 2)),
    ("pagedown pageup", (1, 2)),
]
"""What is pressed, each time from the first pair on, and where that leads."""


async def test_keys_move_from_pair_to_pair() -> None:
    async with drawn(named(9), all_pass(named(9))) as (pilot, matrix):
        assert isinstance(pilot.app, Bare)
        for keys, pair in KEYS:
            matrix.to(0, 1)
            await pilot.pause()
            matrix.touched, pilot.app.moves = False, 0
            await pilot.press(*keys.split())
            assert matrix.pair == tuple(f"fed-node{number}" for number in pair), keys
            assert matrix.touched == bool(keys), keys
            row = shown(pilot.app).splitlines()[pair[0]]
            assert row.count("[") == 1, keys
            assert row.index("[") == 13 + 3 * (pair[1] - 1), keys
            assert pilot.app.moves == len(keys.split()), keys


async def test_a_matrix_begins_at_the_first_pair_and_nobody_has_moved_in_it() -> None:
    async with drawn(named(9), all_pass(named(9))) as (_, matrix):
        assert matrix.pair == ("fed-node1", "fed-node2")
        assert not matrix.touched


async def test_figures_of_nine_nodes_fit_the_smallest_terminal() -> None:
    nodes = named(9)
    cells = {pair: Cell("pass", "1450") for pair in all_pass(nodes)}
    cells[nodes[0], nodes[1]] = Cell("fail", "1400")
    async with drawn(nodes, cells, matrix=Matrix(figures=True)) as (pilot, _):
        assert shown(pilot.app).splitlines()[:3] == [
            " from, to       1      2      3      4      5      6      7      8      9",
            " 1 fed-node1    .   [X1400] +1450  +1450  +1450  +1450  +1450  +1450  +1450",
            " 2 fed-node2  +1450    .    +1450  +1450  +1450  +1450  +1450  +1450  +1450",
        ]


async def test_the_heads_stay_where_they_are() -> None:
    nodes = named(50)
    async with drawn(nodes, all_pass(nodes, n50_50="pass"), (80, 18)) as (pilot, _):
        await pilot.press("end", *["pagedown"] * 5)
        lines = shown(pilot.app).splitlines()
        assert lines[0] == " from, to      " + " ".join(str(it) for it in range(30, 51))
        assert lines[1].startswith(" 41 fed-node41 ")
        assert lines[10].startswith(" 50 fed-node50 ")
        assert lines[10].endswith("[.]")
        assert lines[11].strip() == "of 50 nodes: senders 41 to 50, receivers 30 to 50"
        assert lines[12].strip().startswith("+ pings")


async def test_it_fits_a_terminal_that_was_made_smaller() -> None:
    nodes = named(50)
    async with drawn(nodes, all_pass(nodes), (200, 60)) as (pilot, _):
        await pilot.press("end", *["pagedown"] * 4)
        await resize(pilot, 80, 24)
        await pilot.pause()
        assert "[.]" in shown(pilot.app)
        await resize(pilot, 20, 5)
        await pilot.pause()
        await resize(pilot, 200, 60)
        await pilot.pause()
        assert "[.]" in shown(pilot.app)


async def test_fewer_nodes_than_before_keep_the_cursor_inside() -> None:
    async with drawn(named(9), all_pass(named(9))) as (pilot, matrix):
        await pilot.press("end", "pagedown")
        matrix.show(named(2), all_pass(named(2)))
        await pilot.pause()
        assert matrix.pair == ("fed-node2", "fed-node2")
        assert "2 fed-node2" in shown(pilot.app)


async def test_nothing_is_drawn_and_nothing_breaks_without_nodes() -> None:
    async with drawn([], {}) as (pilot, matrix):
        await pilot.press("down", "right", "end", "pagedown")
        await pilot.click(Matrix, (3, 0))
        assert matrix.pair is None
        assert not matrix.to_next(lambda _: True)
        assert shown(pilot.app).strip() == ""


async def test_a_long_name_is_cut_and_a_strange_one_is_text() -> None:
    nodes = ["a" * 63, "[/x]\x1b[31m", "c"]
    async with drawn(nodes, all_pass(nodes)) as (pilot, _):
        text = shown(pilot.app)
        assert f"1 {'a' * 23}~ " in text
        assert "2 [/x] " in text
        assert "\x1b" not in text


async def test_the_next_that_is_wanted_comes_after_and_then_from_the_first_again() -> None:
    nodes = named(4)
    async with drawn(nodes, all_pass(nodes, n1_3="fail", n4_1="fail")) as (_, matrix):
        found = []
        for _ in range(3):
            assert matrix.to_next(lambda cell: cell is not None and cell.word == "fail")
            found.append(matrix.pair)
        assert found == [
            ("fed-node1", "fed-node3"),
            ("fed-node4", "fed-node1"),
            ("fed-node1", "fed-node3"),
        ]
        assert not matrix.to_next(lambda cell: cell is not None and cell.word == "skipped")


async def test_the_mouse_will_do_too() -> None:
    async with drawn(named(9), all_pass(named(9))) as (pilot, matrix):
        await pilot.click(Matrix, (13 + 3 * 4 + 1, 3))
        assert matrix.pair == ("fed-node3", "fed-node5")
        await pilot.click(Matrix, (2, 3))
        assert matrix.pair == ("fed-node3", "fed-node5")


async def test_the_wheel_moves_as_the_arrows_do() -> None:
    async with drawn(named(9), all_pass(named(9))) as (pilot, matrix):
        where = (matrix, 5, 5, 0, 1, 0, False, False, False)
        matrix.post_message(events.MouseScrollDown(*where))
        matrix.post_message(events.MouseScrollDown(*where))
        matrix.post_message(events.MouseScrollUp(*where))
        await pilot.pause()
        assert matrix.pair == ("fed-node2", "fed-node2")


async def test_the_next_fault_is_found_from_anywhere_also_where_it_is_the_only_one() -> None:
    nodes = named(3)

    def failed(cell: Cell | None) -> bool:
        return cell is not None and cell.word == "fail"

    async with drawn(nodes, all_pass(nodes, n2_3="fail", n3_1="fail")) as (_, matrix):
        found = []
        for _ in range(3):
            assert matrix.to_next(failed)
            found.append(matrix.pair)
        assert found == [(nodes[1], nodes[2]), (nodes[2], nodes[0]), (nodes[1], nodes[2])]
    async with drawn(nodes, all_pass(nodes, n2_3="fail")) as (_, matrix):
        for _ in range(2):
            assert matrix.to_next(failed)
            assert matrix.pair == (nodes[1], nodes[2])
    async with drawn(nodes, all_pass(nodes)) as (_, matrix):
        assert not matrix.to_next(failed)
