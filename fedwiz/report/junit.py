"""The report as JUnit XML for continuous integration: one test case per verdict.

The format is the one that Jenkins and GitLab accept: testsuites, testsuite, testcase with
`failure`, `skipped` and `system-out`.
"""

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from fedwiz.report.changes import Drift
from fedwiz.report.summary import (
    about,
    at,
    began,
    changes,
    headline,
    kinds,
    ok,
    outcome_line,
    run_of,
)
from fedwiz.report.text import matrix
from fedwiz.runs.state import RED, State
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import arrow, where

_NONE_OF_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow, not even as references; carriage returns go, too."""


def _line(text: str) -> str:
    return _NONE_OF_XML.sub("", sanitize(" ".join(text.splitlines())))


def _lines(text: str) -> str:
    return "\n".join(_NONE_OF_XML.sub("", sanitize(line)) for line in text.splitlines())


def _case(suite: Element, name: str) -> Element:
    kind = suite.get("name", "")
    return SubElement(suite, "testcase", name=_line(name), classname=f"fedwiz.{kind}", time="0")


def _judge(case: Element, level: str, seen: str, why: str) -> None:
    """Record the result: `pass`, `fail` or `skipped`, with the evidence."""
    if level == "pass":
        text = "\n".join(filter(None, (why and f"warning: {_lines(why)}", _lines(seen))))
        if text:
            SubElement(case, "system-out").text = text
        return
    tag = "failure" if level == "fail" else "skipped"
    SubElement(case, tag, message=_line(why or seen)).text = _lines(seen)


def _run(root: Element, state: State, run: str, drift: Drift | None) -> None:
    """The run as a whole: failed unless it was verified, even if there is no verdict at all."""
    suite = SubElement(root, "testsuite", name="run")
    properties_element = SubElement(suite, "properties")
    properties = [(name.lower(), value) for name, value in run_of(state, run)]
    for host in state.hosts.values():
        properties += [(f"{host.name} {name}", text) for name, text in host.versions.items()]
        if host.facts_seconds is not None:
            properties.append((f"{host.name} facts seconds", f"{host.facts_seconds}"))
    for name, value in properties:
        if value:
            SubElement(properties_element, "property", name=_line(name), value=_line(value))
    case = _case(suite, state.verb or "run")
    _judge(case, "pass" if ok(state) else "fail", "", outcome_line(state))
    if drift is not None:
        lines = [f"{began(drift, utc=True)}:", *(list(changes(drift)) or ["nothing changed"])]
        SubElement(suite, "system-out").text = _lines("\n".join(lines))


def _suites(root: Element, state: State) -> None:
    if state.findings:
        suite = SubElement(root, "testsuite", name="findings")
        for found in state.findings:
            level = "fail" if found.level == "block" else "pass"
            case = _case(suite, f"{found.check} ({where(found.host)})")
            _judge(case, level, found.seen, found.remedy)
    if state.verb == "install":
        suite = SubElement(root, "testsuite", name="hosts")
        for host in state.hosts.values():
            level = "fail" if host.word in RED else "pass" if host.word == "done" else "skipped"
            _judge(_case(suite, host.name), level, host.title, host.why)
    for kind in kinds(state.verdicts):
        suite = SubElement(root, "testsuite", name=_line(kind) or "other")
        for it in state.verdicts:
            if it.kind == kind:
                _judge(_case(suite, about(it)), it.level, it.seen, it.why)
        if kind == "ping":
            drawn = "\n".join(matrix(state.verdicts, state.hosts))
            SubElement(suite, "system-out").text = _lines(drawn)
    if state.diagnoses:
        suite = SubElement(root, "testsuite", name="causes")
        for cause in state.diagnoses:
            case = _case(suite, f"{arrow(cause.sender, cause.receiver)}: {cause.cause}")
            _judge(case, "fail", f"{cause.seen}\n{cause.remedy}", f"{cause.host}: {cause.why}")


def _count(suite: Element) -> dict[str, int]:
    return {
        "tests": len(suite.findall(".//testcase")),
        "failures": len(suite.findall(".//failure")),
        "errors": 0,
        "skipped": len(suite.findall(".//skipped")),
    }


def junit(state: State, run: str = "", drift: Drift | None = None) -> str:
    """The whole report as an XML document.

    Args:
        state: what to report.
        run: the run's id.
        drift: the changes since the last verification; None: unknown.
    """
    root = Element("testsuites", name=_line(headline(state)))
    _run(root, state, run, drift)
    _suites(root, state)
    took = f"{state.elapsed(state.started):.3f}" if state.started and state.outcome else "0"
    for suite in root:
        suite.attrib |= {name: str(number) for name, number in _count(suite).items()}
        suite.set("time", took if suite.get("name") == "run" else "0")
        if state.started is not None:
            suite.set("timestamp", at(state.started))
    root.attrib |= {name: str(number) for name, number in _count(root).items()} | {"time": took}
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'
