"""Text from hosts, as a terminal may show it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwiz.util.sanitize import MAX_LINE_CHARS, LineReader, sanitize

CLEANED = {
    "plain": ("Installed: flannel", "Installed: flannel"),
    "letters of the world": ("größe 日本 ✓", "größe 日本 ✓"),
    "colour": ("\x1b[1;31mError\x1b[0m", "Error"),
    "title by OSC": ("\x1b]0;owned\x07done", "done"),
    "link by OSC and ST": ("\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"),
    "OSC without an end": ("done\x1b]0;owned", "done"),
    "DCS": ("a\x1bP1$r0m\x1b\\b", "ab"),
    "eight-bit CSI": ("a\x9b31mb", "ab"),
    "short escapes": ("\x1b(B\x1b7a\x1b=", "a"),
    "escape within an escape": ("\x1b\x1b[m[31mx", "[31mx"),
    "bell, backspace, null": ("a\x07b\x08c\x00", "abc"),
    "tab": ("a\tb", "a       b"),
    "direction": ("abc\u202edcba\u2069", "abcdcba"),
    "line separator": ("a\u2028b", "ab"),
    "progress": ("10%\r50%\r100%", "100%"),
    "progress, erased at its end": ("99%\r100%\r\x1b[K", "100%"),
    "carriage return of a DOS line": ("text\r", "text"),
    "nothing left": ("\x1b[2K\r\r", ""),
    "markup stays": ("[red] no match", "[red] no match"),
}


@pytest.mark.parametrize(("line", "shown"), CLEANED.values(), ids=CLEANED)
def test_clean(line: str, shown: str) -> None:
    assert sanitize(line) == shown


def test_a_long_line_is_cut_where_one_sees_it() -> None:
    assert sanitize("x" * MAX_LINE_CHARS) == "x" * MAX_LINE_CHARS
    assert sanitize("x" * 100_000) == "x" * (MAX_LINE_CHARS - 1) + "…"


@given(st.text())
def test_what_is_clean_stays_as_it_is_and_controls_nothing(line: str) -> None:
    once = sanitize(line)
    assert sanitize(once) == once
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in once)


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"))), st.data())
def test_lines_do_not_depend_on_how_the_stream_is_cut(
    lines: list[str], data: st.DataObject
) -> None:
    stream = "".join(f"{line}\n" for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    got: list[str] = []
    cutter = LineReader()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += cutter.feed(stream[start:end])
    assert [*got, *cutter.end()] == [sanitize(line) for line in lines]


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    lines = LineReader()
    assert [*lines.feed(b"a\xff\xfeb\nrest"), *lines.end()] == ["a\ufffd\ufffdb", "rest"]


def test_a_line_without_an_end_is_not_held() -> None:
    lines = LineReader()
    for _ in range(200):
        assert list(lines.feed(b"x" * 65536)) == []
    assert len(vars(lines)["_buffer"]) <= 65536
    assert list(lines.feed(b"\nnext\n")) == ["x" * (MAX_LINE_CHARS - 1) + "…", "next"]


def test_a_progress_bar_without_an_end_keeps_what_it_drew_last() -> None:
    lines = LineReader()
    for percent in range(100):
        list(lines.feed(b"." * 5000 + b" %d%%\r" % percent))
    assert list(lines.feed(b"all of it\n")) == ["all of it"]
