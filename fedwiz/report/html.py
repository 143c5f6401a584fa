"""The report as one HTML file: it loads nothing, executes nothing, and can be printed.

All text from hosts is sanitized and escaped here, and never becomes markup.
"""

from collections.abc import Iterable, Iterator
from html import escape

from fedwiz.model.events import LEVELS_WORST_FIRST, Found, Judged, Verified
from fedwiz.model.verdicts import PER_PAIR, title
from fedwiz.report.changes import Drift
from fedwiz.report.summary import (
    SIGNS,
    about,
    began,
    changes,
    headline,
    kinds,
    nodes,
    ok,
    pairs,
    run_of,
)
from fedwiz.runs.state import RED, HostState, State
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import arrow, count, where

MATRIX_WORDS: dict[Judged | None, str] = {
    "pass": "pings",
    "fail": "fails",
    "skipped": "not tried",
    None: "unknown",
}

NOTHING_LOADED = "default-src 'none'; style-src 'unsafe-inline'"

_SEEN = {"ok": "pass", "block": "fail"}
"""Levels of findings that have other names as CSS classes."""

STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1a1a1a; --soft: #666; --line: #ccc;
  --good: #0a6b2d; --good-back: #e3f4e8; --bad: #a40e26; --bad-back: #fde4e7;
  --warn: #7a4b00; --warn-back: #fdf1d8; }
@media (prefers-color-scheme: dark) { :root { --back: #16181c; --text: #e6e6e6; --soft: #a0a4ab;
  --line: #444a54; --good: #6fd391; --good-back: #12301d; --bad: #ff8d99; --bad-back: #401219;
  --warn: #f0c36d; --warn-back: #3a2c0d; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; padding: .6rem .8rem; border-left: .4rem solid; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin-bottom: .8rem; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left;
  vertical-align: top; }
th { font-weight: 600; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
.wide { overflow-x: auto; }
th[scope=row] { white-space: nowrap; }
.matrix { font-size: .8rem; }
.matrix td { text-align: center; vertical-align: middle; }
.soft { color: var(--soft); }
.pass { color: var(--good); background: var(--good-back); }
.fail { color: var(--bad); background: var(--bad-back); }
.skipped, .warn { color: var(--warn); background: var(--warn-back); }
summary { cursor: pointer; }
@media print { body { max-width: none; margin: 0; font-size: 10pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .wide { overflow: visible; } tr { break-inside: avoid; } h2 { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; } }
""".strip()


def _text(text: str) -> str:
    return escape(sanitize(" ".join(text.splitlines())))


def _pre(text: str) -> str:
    """A host's lines, unchanged apart from sanitizing."""
    lines = "\n".join(escape(sanitize(line)) for line in text.splitlines())
    return f"<pre>{lines}</pre>" if lines else ""


def _table(heads: Iterable[str], rows: Iterable[str], kind: str = "") -> str:
    """A table; the rows are HTML, the heads are text."""
    head = "".join(f'<th scope="col">{_text(it)}</th>' for it in heads)
    body = "\n".join(rows)
    return (
        f'<div class="wide"><table{kind and f" class={chr(34)}{kind}{chr(34)}"}>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _section(name: str, *parts: str) -> str:
    return "\n".join((f"<section>\n<h2>{_text(name)}</h2>", *parts, "</section>"))


def _run(state: State, run: str) -> str:
    rows = (
        f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>'
        for name, value in run_of(state, run)
        if value
    )
    return _section("Run", "<table>", *rows, "</table>")


def _hosts(state: State) -> Iterator[str]:
    names = list(dict.fromkeys(name for it in state.hosts.values() for name in it.versions))
    if state.hosts:
        heads = ("Host", "Outcome", *names, "Facts read in", "Why")
        yield _section("Hosts", _table(heads, (_host(it, names) for it in state.hosts.values())))


def _host(host: HostState, names: Iterable[str]) -> str:
    took = "" if host.facts_seconds is None else f"{host.facts_seconds:.2f} s"
    style = "fail" if host.word in RED else "pass" if host.word == "done" else "skipped"
    versions = "".join(f"<td>{_text(host.versions.get(name, ''))}</td>" for name in names)
    return (
        f'<tr><th scope="row">{_text(host.name)}</th><td class="{style}">{_text(host.word)}</td>'
        f"{versions}<td>{took}</td><td>{_pre(host.why)}</td></tr>"
    )


def _findings(found: list[Found]) -> Iterator[str]:
    if found:
        ordered = sorted(found, key=lambda it: LEVELS_WORST_FIRST.index(it.level))
        heads = ("Level", "Check", "Host", "Seen", "What to do")
        rows = (
            f'<tr><td class="{_SEEN.get(it.level, it.level)}">{it.level}</td>'
            f"<td>{_text(it.check)}</td><td>{_text(where(it.host))}</td>"
            f"<td>{_pre(it.seen)}</td><td>{_pre(it.remedy)}</td></tr>"
            for it in ordered
        )
        yield _section("Findings", _table(heads, rows))


def _matrix(state: State) -> str:
    """Which node pings which: one row per sender."""
    tried = pairs(state.verdicts)
    names = nodes(tried, state.hosts)

    def cell(sender: str, receiver: str) -> str:
        if sender == receiver:
            return '<td class="soft">itself</td>'
        it = tried.get((sender, receiver))
        level = it.level if it else None
        style = "warn" if it and level == "pass" and it.why else level or "soft"
        text = f"{SIGNS[level]} {MATRIX_WORDS[level]}"
        return f'<td class="{style}">{text}</td>'

    rows = (
        f'<tr><th scope="row">{_text(one)}</th>{"".join(cell(one, other) for other in names)}</tr>'
        for one in names
    )
    return _table(("from, to", *names), rows, "matrix")


def _reasons(found: Iterable[Verified]) -> str:
    """Each pair that failed or passed with a warning, and why."""
    rows = (
        f'<tr><th scope="row">{_text(arrow(it.host, it.peer))}</th>'
        f'<td class="{_style(it)}">{_level(it)}</td><td>{_pre(it.why or it.seen)}</td></tr>'
        for it in found
        if it.level != "pass" or it.why
    )
    listed = list(rows)
    return _table(("Pair", "Verdict", "Why, and what to do"), listed) if listed else ""


def _style(it: Verified) -> str:
    return "warn" if it.level == "pass" and it.why else it.level


def _level(it: Verified) -> str:
    return f"{SIGNS[it.level]} {it.level}{', with a warning' * (_style(it) == 'warn')}"


def _kind(state: State, kind: str) -> str:
    """All verdicts of a kind with their evidence; unfolded if one needs attention."""
    these = [it for it in state.verdicts if it.kind == kind]
    passed = sum(it.level == "pass" for it in these)
    rows = (
        f'<tr><th scope="row">{_text(about(it))}</th><td class="{_style(it)}">{_level(it)}</td>'
        f"<td>{_pre(it.seen)}</td><td>{_pre(it.why)}</td></tr>"
        for it in these
    )
    whom = "Pair" if kind in PER_PAIR else "Host"
    shown = " open" if kind not in PER_PAIR and any(_style(it) != "pass" for it in these) else ""
    parts = [_matrix(state)] if kind == "ping" else []
    if kind in PER_PAIR:
        parts.append(_reasons(pairs(these, kind).values()))
    return _section(
        title(kind),
        *filter(None, parts),
        f"<details{shown}><summary>{passed} of {count(len(these), 'verdict')} passed: "
        "what was seen</summary>",
        _table((whom, "Verdict", "Seen", "Why, and what to do"), rows),
        "</details>",
    )


def _since(drift: Drift) -> str:
    items = [f"<li>{_text(it)}</li>" for it in changes(drift)]
    return _section(
        began(drift, utc=True),
        *(["<ul>", *items, "</ul>"] if items else ["<p>Nothing changed.</p>"]),
    )


def _diagnoses(state: State) -> Iterator[str]:
    if state.diagnoses:
        rows = (
            f'<tr><th scope="row">{_text(arrow(it.sender, it.receiver))}</th>'
            f"<td>{_text(it.cause)}</td><td>{_text(where(it.host))}</td><td>{_pre(it.why)}</td>"
            f"<td>{_pre(it.seen)}</td><td>{_pre(it.remedy)}</td></tr>"
            for it in state.diagnoses
        )
        heads = ("Pair", "Cause", "Host", "Why", "Seen", "What to do")
        yield _section("Causes", _table(heads, rows))


def page(state: State, run: str = "", drift: Drift | None = None) -> str:
    """The whole report as one HTML document.

    Args:
        state: what to report.
        run: the run's id.
        drift: the changes since the last verification; None: unknown.
    """
    title_text = _text(headline(state))
    word = "pass" if ok(state) else "fail"
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_LOADED}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(state.cluster)}: fedwiz {_text(state.verb)}</title>",
        f"<style>\n{STYLE}\n</style>",
        "</head>",
        "<body>",
        f'<h1 class="{word}">{SIGNS["pass" if word == "pass" else "fail"]} {title_text}</h1>',
        _run(state, run),
        *([_since(drift)] if drift is not None else []),
        *_findings(state.findings),
        *_diagnoses(state),
        *(
            _kind(state, kind)
            for kind in sorted(kinds(state.verdicts), key=lambda it: it != "ping")
        ),
        *_hosts(state),
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"
