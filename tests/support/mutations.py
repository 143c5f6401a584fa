"""Mutations of real inputs: bytes, lines, nodes of JSON, and long runs of what is in them."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

LONGEST = 1 << 18
"""Bytes of most inputs; enough for what grows with the square of a length to take seconds."""

WORDS = (
    b"",
    b"\n",
    b"\r",
    b"\r\n",
    b"\x00",
    b"\x1b[2J",
    b"\x9b",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b" ",
    b"\t",
    b"\x0b",
    b"\x0c",
    b"\x1c",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae",
    b'"',
    b"'",
    b"\\",
    b"`id`",
    b"$(id)",
    b"%s",
    b"{}",
    b"[/b]",
    b"]]>",
    b"<script>",
    b"0",
    b"-1",
    b"1e999",
    b"-1e999",
    b"nan",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"null",
    b"true",
    b"9" * 5000,
    b"0x10",
    b"1_0",
    b"\xd9\xa1",
    b"\xc2\xb2",
    b"\xe0\xb1\xa9",
    b"255.255.255.255",
    b"10.16.0.0/16",
    b"0.0.0.0/0",
    b"::1",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"\\ud800",
    b"=",
    b":",
    b"/",
    b"#",
    b"#read",
    b"mark ",
    b"end",
    b"end\n",
    b"@",
    b"!",
    b"*",
    b"?",
    b"|1|",
    b"\xc3\xa4",
    b".",
    b"-",
    b"--",
    b"a.",
    b"//",
    b"drop ",
    b"\xef\xbb\xbf",
)

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**53,
    2**64,
    -(2**200),
    1.5,
    float("inf"),
    float("nan"),
    1e308,
    "",
    " ",
    "\ud800",
    "\x00",
    "\x1b[31m",
    "x" * 5000,
    "9" * 5000,
    "a\nb",
    "10.0.0.1/99",
    "default",
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": ""},
    [1, "a", None, {}],
    {"a": {"b": []}},
)


def json_node(random: Random, said: Any) -> Any:  # noqa: ANN401 - JSON's
    """The same with one of its nodes another one, gone, or there twice."""
    if isinstance(said, dict) and said and random.random() < 0.85:
        key = random.choice(list(said))
        if random.random() < 0.1:
            return {it: value for it, value in said.items() if it != key}
        return {**said, key: json_node(random, said[key])}
    if isinstance(said, list) and said and random.random() < 0.85:
        at = random.randrange(len(said))
        if random.random() < 0.1:
            return said[:at] + said[at + 1 :] * random.randrange(3)
        return [*said[:at], json_node(random, said[at]), *said[at + 1 :]]
    if random.random() < 0.1:
        return deep(random, said)
    return random.choice(ODD)


def deep(random: Random, said: Any) -> Any:  # noqa: ANN401 - JSON's
    """Nested, as deep as some parser still takes."""
    for _ in range(random.choice((50, 300, 600, 900))):
        said = [said] if random.random() < 0.5 else {"a": said}
    return said


class Mutator:
    """Makes inputs of some seeds, ever the same ones of the same random numbers.

    Args:
        seeds: real inputs.
        random: where the choices come from.
        wrap: what the bytes that are changed are wrapped in before they are given.
    """

    def __init__(self, seeds: Sequence[bytes], random: Random) -> None:
        self.random = random
        self.seeds = list(seeds) or [b""]
        self.longest = LONGEST
        self.ways: Sequence[Callable[[bytes], bytes]] = (
            self._flipped,
            self._put,
            self._put,
            self._cut,
            self._doubled,
            self._lines,
            self._spliced,
            self._run,
            self._json,
            self._json,
            self._swapped,
        )

    def next(self) -> bytes:
        """One more."""
        said = self.random.choice(self.seeds)
        for _ in range(self.random.choice((1, 1, 2, 3, 6))):
            said = self.random.choice(self.ways)(said)[: self.longest]
        return said

    def _at(self, said: bytes) -> int:
        return self.random.randrange(len(said) + 1)

    def _flipped(self, said: bytes) -> bytes:
        at = self._at(said)
        return said[:at] + bytes([self.random.randrange(256)]) + said[at + 1 :]

    def _put(self, said: bytes) -> bytes:
        at = self._at(said)
        return said[:at] + self.random.choice(WORDS) + said[at + self.random.choice((0, 0, 1, 4)) :]

    def _cut(self, said: bytes) -> bytes:
        at = self._at(said)
        return said[:at] + said[at + self.random.choice((1, 2, 8, 64, 4096)) :]

    def _doubled(self, said: bytes) -> bytes:
        at = self._at(said)
        return said[:at] + said[max(0, at - self.random.choice((1, 8, 64, 512))) :]

    def _lines(self, said: bytes) -> bytes:
        lines = said.split(b"\n")
        self.random.shuffle(lines)
        return b"\n".join(lines[: self.random.randrange(len(lines)) + 1])

    def _spliced(self, said: bytes) -> bytes:
        other = self.random.choice(self.seeds)
        return said[: self._at(said)] + other[self._at(other) :]

    def _swapped(self, said: bytes) -> bytes:
        """A word of one line in the place of another's."""
        words = said.split(b" ")
        one, other = (self.random.randrange(len(words)) for _ in range(2))
        words[one], words[other] = words[other], self.random.choice((words[one], b""))
        return b" ".join(words)

    def _run(self, said: bytes) -> bytes:
        """A long run of one word, of those above or of the input's own."""
        at, size = self._at(said), self.random.choice((1, 1, 2, 5, 12, 40))
        word = self.random.choice((said[at : at + size], self.random.choice(WORDS))) or b" "
        length = self.random.choice((2000, 60_000, self.longest))
        run = word * (length // len(word))
        return said[:at] + run + said[at + self.random.choice((0, size)) :]

    def _json(self, said: bytes) -> bytes:
        """Where there is JSON in it, in a line of its own or after some words: a node of that."""
        lines = [line for line in said.splitlines(keepends=True) if b"{" in line or b"[" in line]
        part = said if not lines or self.random.random() < 0.5 else self.random.choice(lines)
        found = min((at for at in (part.find(b"{"), part.find(b"[")) if at >= 0), default=-1)
        if found < 0:
            return self._flipped(said)
        begin = part[found:].rstrip()
        try:
            changed = json.dumps(json_node(self.random, json.loads(begin)))
        except (ValueError, RecursionError):
            return self._put(said)
        return said.replace(begin, changed.encode("ascii"), 1)
