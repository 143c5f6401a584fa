"""The line-mode wizard: numbered prompts, and one line per event.

It works on the same draft as the screens, so one can continue where the other stopped.
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
from fedwiz.cli.results import print_report
from fedwiz.cli.runner import RecordedRun, closed, listening
from fedwiz.engine import plan as planning
from fedwiz.engine import verbs
from fedwiz.engine.approval import NOT_APPROVED, Refusal, saving, within_plan
from fedwiz.engine.plan import Plan
from fedwiz.engine.undo import resume
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.facts import ClusterFacts
from fedwiz.model.actions import Run
from fedwiz.runs.interrupted import interrupted_run
from fedwiz.runs.journal import answers_path
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard import start
from fedwiz.wizard.draft import Draft, forget
from fedwiz.wizard.goals import GOALS, LEFT_ALONE
from fedwiz.wizard.start import begin_practice, interrupted


def wizard(draft: Draft | None) -> int:
    """Ask, install and verify in line mode; returns the exit code.

    Args:
        draft: the draft to continue; None: ask for a goal first.
    """
    dialogue, run = Dialogue(), RecordedRun()
    changing = False

    async def whole(stop: asyncio.Event) -> Result:
        nonlocal changing
        await _ask_all(dialogue, draft)
        changing = dialogue.draft.goal != "verify"
        return await _do(dialogue, run, stop)

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
        return print_report(argparse.Namespace(json=False), result, run.state)
    if result.why:
        say(f"fedwiz: {result.why}")
    return result.code


async def _ask_all(dialogue: Dialogue, draft: Draft | None) -> None:
    """Ask the questions in order; `<` goes back to the one before."""
    at = 0
    if draft is not None and not interrupted(draft):
        dialogue.begin(draft)
        at = _resume_at(draft)
        say(f"{sanitize(draft.name)}: going on at {draft.page}; `<` goes back, `?` helps")
    while at < len(QUESTIONS):
        page, ask = QUESTIONS[at]
        asked = dialogue.prompt.asked
        if _asks_page(dialogue, page):
            if page and page != dialogue.draft.page:
                dialogue.keep(replace(dialogue.draft, page=page))
            try:
                await ask(dialogue)
            except BackError:
                dialogue.back = True
            else:
                dialogue.back = dialogue.back and dialogue.prompt.asked == asked
        at = max(at - 1, 0) if dialogue.back else at + 1


def _resume_at(draft: Draft) -> int:
    """Index of the question at which to continue a draft; an install must be approved again."""
    page = "review" if draft.goal == "install" and draft.page in RUN_PAGES else draft.page
    return next((at for at, (it, _) in enumerate(QUESTIONS) if it == page), len(QUESTIONS))


def _asks_page(dialogue: Dialogue, page: str) -> bool:
    """Whether to ask a page's questions: going forward only the open ones, going back all."""
    if dialogue.before is not None:
        return False
    if dialogue.back and dialogue.draft.goal == "install":
        return True
    return not page or page in dialogue.draft.stops


async def what(dialogue: Dialogue) -> None:
    """Ask for the goal."""
    if dialogue.draft.page and not dialogue.back:
        return
    options = [(name, *GOALS[name]) for name in ("new", "file", "verify", "practice")]
    before = interrupted_run()
    if before is not None:
        about = f"It stopped at {before.where}. {LEFT_ALONE}"
        options.insert(0, ("resume", f"Resume: {before.name}", about))
    goal = await dialogue.prompt.pick(
        "what",
        "What is to be done?",
        options,
        options[0][0],
        "Nothing is changed on any machine before the plan was shown and approved.",
    )
    if goal == "resume" and before is not None:
        try:
            dialogue.begin(start.resuming(before))
        except AnswersError as refused:
            wrong(str(refused))
            raise BackError from None
        dialogue.before = before
    elif goal == "file":
        dialogue.begin(await _file(dialogue))
    elif goal == "practice":
        faults = [("healthy", "healthy", "All is well.")]
        faults += [(name, name, fault.help) for name, fault in practice.FAULTS.items()]
        fault = await dialogue.prompt.pick("practice", "What is wrong with it?", faults, "healthy")
        dialogue.begin(begin_practice(Draft(page="hosts", practice=fault)))
    else:
        dialogue.begin(start.verifying() if goal == "verify" else start.new())


async def _file(dialogue: Dialogue) -> Draft:
    """Ask for an answer file and make a draft from it."""

    def refuse(path: str) -> str:
        try:
            start.from_file(path)
        except AnswersError as refused:
            return str(refused)
        return ""

    path = await dialogue.prompt.text("file", "Which answer file?", refuse, "answers.toml")
    return start.from_file(path)


async def approve(dialogue: Dialogue) -> None:
    """Show the findings and the plan, and ask for approval."""
    while True:
        try:
            answers = dialogue.draft.answers()
        except AnswersError as refused:
            wrong(str(refused))
            raise BackError from None
        known = await dialogue.inventory.udp_trial(answers, await dialogue.known())
        findings = judge(answers, known, dialogue.draft.accepted)
        if not known.hosts:  # no other finding means anything then
            findings = tuple(it for it in findings if it.check == "reachable")
        blocks = dialogue.print_findings(findings)
        code, why = verbs.standing(findings, known)
        if code == verbs.OK:
            break
        await _blocked(dialogue, blocks, QuitError(code, why))
    well = sum(it.level == "ok" for it in findings)
    say(f"  + ok: nothing blocks; {well} findings are well")
    plan = planning.make(answers, known)
    say(planning.text(plan))
    if any(plan.actions.values()) and not await _approved(dialogue, answers, plan):
        raise QuitError(verbs.USAGE, NOT_APPROVED.why)
    dialogue.inventory.approved = answers, plan


async def _blocked(dialogue: Dialogue, blocks: list[Finding], stop: QuitError) -> None:
    """Ask what to do about findings that block: read again, accept one, or leave.

    Raises:
        QuitError: the operator leaves, or the input has ended.
    """
    options = [
        ("again", "read again", "after something was corrected on the hosts"),
        ("leave", "leave", "nothing was changed, and what was said is kept"),
    ]
    if stop.code == verbs.BLOCKED:
        options.append(("accept", "accept", "take a finding that blocks for a warning"))
    try:
        choice = await dialogue.prompt.pick(
            "blocked", "The install stops here.  What now?", options, "leave"
        )
        if choice == "accept":
            names = list(dict.fromkeys(it.check for it in blocks))
            name = await dialogue.prompt.text(
                "accepted",
                "Type the name of the finding",
                lambda text: (
                    "" if text in names else f"one of {', '.join(names)}; `<` accepts none"
                ),
            )
            dialogue.keep(replace(dialogue.draft, accepted=(*dialogue.draft.accepted, name)))
    except InputEndedError:
        raise stop from None
    if choice == "leave":
        raise stop
    if choice == "again":
        await dialogue.known(again=True)


async def _approved(dialogue: Dialogue, answers: Answers, plan: Plan) -> bool:
    """Ask for approval of the plan; if containers stop, by typing the cluster's name."""
    help_ = "This is the last question: then the plan is carried out on all hosts at once."
    stops = any(
        isinstance(action, Run) and action.interrupts
        for task in plan.tasks()
        for action in task.actions
    )
    if not stops:
        return await dialogue.prompt.yes("approval", "Do all this?", help_)
    say("  ! containers that run on the nodes stop")
    typed = await dialogue.prompt.line(
        "approval", f"Type {answers.name} to do all this", help=help_
    )
    return typed == answers.name


async def _do(dialogue: Dialogue, run: RecordedRun, stop: asyncio.Event) -> Result:
    """Carry out the approved plan and verify, or only verify."""
    verifies, before = dialogue.draft.goal == "verify", dialogue.before
    if verifies:
        await dialogue.known()
    answers = dialogue.draft.answers()

    async def more(plan: Plan, _known: ClusterFacts | None) -> Refusal | None:
        say("more is left to do than you approved then:")
        say(planning.text(plan))
        return None if await _approved(dialogue, answers, plan) else NOT_APPROVED

    def begun(run_id: str, unkept: OSError | None) -> None:
        path = answers_path(run_id)
        if unkept is None:
            say(f"the answers, to do the same again: {path}")
        else:
            say(f"the answers could not be written: {path}: {unkept.strerror or unkept}")
        dialogue.keep(replace(dialogue.draft, page=RUN_PAGES[verifies], run=run_id))

    async def make(accepted: tuple[str, ...]) -> RunContext:
        return await dialogue.inventory.cluster(answers, accepted=accepted)

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        if before is not None:
            return await resume(before, cluster, more, stop)
        if dialogue.inventory.approved is None:
            return await verbs.verify(cluster)
        return await verbs.install(
            cluster, saving(within_plan(dialogue.inventory.approved[1])), stop
        )

    result = await run.of(work, make, dialogue.draft.accepted, stop, begun)
    if result.code == verbs.OK:
        forget(dialogue.draft.practice)
    return result


RUN_PAGES = ("install", "verify")
"""Pages that ask nothing any more."""

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
"""All questions in order, each with the wizard page that it belongs to."""
