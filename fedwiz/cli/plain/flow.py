"""The wizard without screens: numbered prompts, and one line per event.

The same draft as the screens', so that one goes on where the other was left.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from fedwiz import practice
from fedwiz.answers.file import Answers, AnswersError
from fedwiz.checks import Finding, judge
from fedwiz.cli.output import say
from fedwiz.cli.plain import hosts, network
from fedwiz.cli.plain.dialogue import Dialogue, QuitError
from fedwiz.cli.plain.prompt import BackError, InputEndedError, wrong
from fedwiz.cli.results import reported
from fedwiz.cli.runner import RecordedRun, closed, listening
from fedwiz.engine import plan as planning
from fedwiz.engine import verbs
from fedwiz.engine.plan import Plan
from fedwiz.engine.resume import keeping, resume
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.model.actions import Run
from fedwiz.runs.journal import runs_path
from fedwiz.runs.unfinished import interrupted_run
from fedwiz.util import files
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard import start
from fedwiz.wizard.draft import Draft, forget, repeat
from fedwiz.wizard.goals import GOALS, LEFT_ALONE
from fedwiz.wizard.start import begin_practice, interrupted


def wizard(draft: Draft | None) -> int:
    """Ask, install and prove, in lines; gives the exit code.

    Args:
        draft: to go on with; None: the operator says what is to be done.
    """
    talk, run = Dialogue(), RecordedRun()
    changing = False

    async def whole(stop: asyncio.Event) -> Result:
        nonlocal changing
        await _ask_all(talk, draft)
        changing = talk.draft.goal != "verify"
        return await _do(talk, run, stop)

    try:
        result = asyncio.run(listening(whole, lambda: not changing))
    except asyncio.CancelledError:
        say("")
        result = closed()
    except InputEndedError as ended:
        result = Result(verbs.USAGE, f"{ended.key}: no answer, and the input has ended")
    except QuitError as left:
        result = Result(left.code, left.why)
    if run.run:
        return reported(argparse.Namespace(json=False), result, run.state)
    if result.why:
        say(f"fedwiz: {result.why}")
    return result.code


async def _ask_all(talk: Dialogue, draft: Draft | None) -> None:
    """Ask one question after the other; `<` goes to the one before."""
    at = 0
    if draft is not None and not interrupted(draft):
        talk.begin(draft)
        at = _place(draft)
        say(f"{sanitize(draft.name)}: going on at {draft.page}; `<` goes back, `?` helps")
    while at < len(QUESTIONS):
        page, ask = QUESTIONS[at]
        asked = talk.prompt.asked
        if _stops(talk, page):
            if page and page != talk.draft.page:
                talk.keep(replace(talk.draft, page=page))
            try:
                await ask(talk)
            except BackError:
                talk.back = True
            else:
                talk.back = talk.back and talk.prompt.asked == asked
        at = max(at - 1, 0) if talk.back else at + 1


def _place(draft: Draft) -> int:
    """The question at which a draft is gone on with; an install is approved anew."""
    page = "review" if draft.goal == "install" and draft.page in RUN_PAGES else draft.page
    return next((at for at, (it, _) in enumerate(QUESTIONS) if it == page), len(QUESTIONS))


def _stops(talk: Dialogue, page: str) -> bool:
    """Whether the questions of a page are asked: forward the open ones, back all."""
    if talk.before is not None:
        return False
    if talk.back and talk.draft.goal == "install":
        return True
    return not page or page in talk.draft.stops


async def what(talk: Dialogue) -> None:
    """What is to be done."""
    if talk.draft.page and not talk.back:
        return
    options = [(name, *GOALS[name]) for name in ("new", "file", "verify", "practice")]
    before = interrupted_run()
    if before is not None:
        about = f"It stopped at {before.where}. {LEFT_ALONE}"
        options.insert(0, ("resume", f"Go on: {before.name}", about))
    said = await talk.prompt.pick(
        "what",
        "What is to be done?",
        options,
        options[0][0],
        "Nothing is changed on any machine before the plan was shown and approved.",
    )
    if said == "resume" and before is not None:
        try:
            talk.begin(start.resuming(before))
        except AnswersError as refused:
            wrong(str(refused))
            raise BackError from None
        talk.before = before
    elif said == "file":
        talk.begin(await _file(talk))
    elif said == "practice":
        faults = [("healthy", "healthy", "All is well.")]
        faults += [(name, name, fault.help) for name, fault in practice.FAULTS.items()]
        fault = await talk.prompt.pick("practice", "What is wrong with it?", faults, "healthy")
        talk.begin(begin_practice(Draft(page="hosts", practice=fault)))
    else:
        talk.begin(start.verifying() if said == "verify" else start.new())


async def _file(talk: Dialogue) -> Draft:
    """The draft of an answer file."""

    def refuse(path: str) -> str:
        try:
            start.from_file(path)
        except AnswersError as refused:
            return str(refused)
        return ""

    said = await talk.prompt.text("file", "Which answer file?", refuse, "answers.toml")
    return start.from_file(said)


async def approve(talk: Dialogue) -> None:
    """Show what was found and what will be done, and have it approved."""
    while True:
        try:
            answers = talk.draft.answers()
        except AnswersError as refused:
            wrong(str(refused))
            raise BackError from None
        known = await talk.site.tried(answers, await talk.known())
        findings = judge(answers, known, talk.draft.accepted)
        if not known.hosts:  # that is all there is to say
            findings = tuple(it for it in findings if it.check == "reachable")
        blocks = talk.told(findings)
        code, why = verbs.standing(findings, known)
        if code == verbs.OK:
            break
        await _blocked(talk, blocks, QuitError(code, why))
    well = sum(it.level == "ok" for it in findings)
    say(f"  + ok: nothing blocks; {well} findings are well")
    plan = planning.make(answers, known)
    say(planning.text(plan))
    if any(plan.actions.values()) and not await _approved(talk, answers, plan):
        raise QuitError(verbs.USAGE, "not approved; nothing was changed")
    talk.site.approved = answers, plan


async def _blocked(talk: Dialogue, blocks: list[Finding], left: QuitError) -> None:
    """What is to be done about findings that block.

    Raises:
        Left: nothing, or nobody can be asked any more.
    """
    options = [
        ("again", "read again", "after something was put right on the hosts"),
        ("leave", "leave", "nothing was changed, and what was said is kept"),
    ]
    if left.code == verbs.BLOCKED:
        options.append(("accept", "accept", "take a finding that blocks for a warning"))
    try:
        said = await talk.prompt.pick(
            "blocked", "The install stops here.  What now?", options, "leave"
        )
        if said == "accept":
            names = list(dict.fromkeys(it.check for it in blocks))
            name = await talk.prompt.text(
                "accepted",
                "Type the name of the finding",
                lambda text: (
                    "" if text in names else f"one of {', '.join(names)}; `<` accepts none"
                ),
            )
            talk.keep(replace(talk.draft, accepted=(*talk.draft.accepted, name)))
    except InputEndedError:
        raise left from None
    if said == "leave":
        raise left
    if said == "again":
        await talk.known(again=True)


async def _approved(talk: Dialogue, answers: Answers, plan: Plan) -> bool:
    """Whether the operator wants the plan; where containers stop, by typing the cluster's name."""
    help_ = "This is the last question: then the plan is carried out on all hosts at once."
    stops = any(
        isinstance(action, Run) and action.interrupts
        for task in plan.tasks()
        for action in task.actions
    )
    if not stops:
        return await talk.prompt.yes("approval", "Do all this?", help_)
    say("  ! containers that run on the nodes stop")
    said = await talk.prompt.line("approval", f"Type {answers.name} to do all this", help=help_)
    return said == answers.name


async def _do(talk: Dialogue, run: RecordedRun, stop: asyncio.Event) -> Result:
    """Carry out what was approved, and prove it; or only prove."""
    verifies, before = talk.draft.goal == "verify", talk.before
    if verifies:
        await talk.known()
    answers = talk.draft.answers()

    async def more(plan: Plan, _result: Result) -> str:
        say("more is left to do than you approved then:")
        say(planning.text(plan))
        return "" if await _approved(talk, answers, plan) else "not approved; nothing was changed"

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        _leave_answers(answers, cluster.run_id)
        talk.keep(replace(talk.draft, page=RUN_PAGES[verifies], run=cluster.run_id))
        if before is not None:
            return await resume(before, cluster, more, stop)
        if talk.site.approved is None:
            return await verbs.verify(cluster)
        return await verbs.install(cluster, keeping(verbs.approving(talk.site.approved[1])), stop)

    cluster = await talk.site.cluster(answers, accepted=talk.draft.accepted)
    result = await run.of(work, cluster, stop)
    if result.code == verbs.OK:
        forget(talk.draft.practice)
    return result


def _leave_answers(answers: Answers, run: str) -> None:
    """Leave the answer file that repeats this run, beside its journal."""
    path = runs_path() / f"{run}.toml"
    try:
        files.write(path, repeat(answers))
    except OSError as why:
        say(f"the answers could not be written: {path}: {why.strerror or why}")
    else:
        say(f"the answers, to do the same again: {path}")


RUN_PAGES = ("install", "verify")
"""The pages on which nothing is asked any more."""

QUESTIONS: tuple[tuple[str, Callable[[Dialogue], Awaitable[None]]], ...] = (
    ("", what),
    ("hosts", hosts.name),
    ("hosts", hosts.where),
    ("hosts", hosts.who),
    ("hosts", hosts.login),
    ("hosts", hosts.root),
    ("hosts", hosts.machines),
    ("network", network.cidr),
    ("network", network.length),
    ("backend", network.kind),
    ("backend", network.options),
    ("interfaces", network.interfaces),
    ("review", network.others),
    ("review", approve),
)
"""All questions in order, and the page of the wizard that each belongs to."""
