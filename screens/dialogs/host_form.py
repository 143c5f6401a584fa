"""A dialog with one host's questions."""

from dataclasses import replace

from fedwiz.answers.file import QUESTIONS
from fedwiz.wizard import candidates
from fedwiz.wizard.draft import Draft
from screens.dialogs.form import Form
from screens.widgets.form import Fields

FIELD_ORDER = ("name", "address", "role", "label", "host_key", "interface")


class HostForm(Form):
    """Asks one host's questions.  `given` merges the answers into the draft."""

    def __init__(self, draft: Draft, at: int) -> None:
        """Ask without the interface, which has its own page, unless its value is wrong.

        Args:
            draft: the current draft.
            at: the candidate's index in it.
        """
        it = draft.candidates[at]
        self._whole, self._at = draft, at
        names = [n for n in FIELD_ORDER if n != "interface" or n in _refusals(draft, at)]
        answers = {name: text for name in names if (text := getattr(it, name))}
        by_path = {question.path: question for question in QUESTIONS}
        questions = [by_path[f"host.{name}"] for name in names]
        super().__init__(
            it.name or it.address or "A host", questions, Draft(said={"host": answers})
        )

    def _judge(self) -> dict[str, str]:
        """What is wrong with this host, as if it were chosen."""
        found = _refusals(with_answers(self._whole, self._at, self._draft), self._at)
        why = {
            it.path: found[name]
            for it in self._questions
            if (name := it.path.partition(".")[2]) in found
        }
        self.query_one(Fields).refuse(why)
        return why


def _refusals(draft: Draft, at: int) -> dict[str, str]:
    """What is wrong with a host, by field, whether it is chosen or not."""
    why = dict(candidates.refused(draft.row(at, chosen=True))[0].get(at, {}))
    here = draft.candidates[at].address.lower()
    others = {it.address.lower() for index, it in enumerate(draft.candidates) if index != at}
    if here and here in others:
        why["address"] = "it is in the list already: leave one of the two out"
    return why


def with_answers(draft: Draft, at: int, answer: Draft) -> Draft:
    """The draft with a form's answers about a host."""
    before = draft.candidates[at]

    def text(name: str) -> str:
        return str(answer.get(f"host.{name}") or "")

    draft = draft.row(
        at,
        name=text("name"),
        address=text("address"),
        label=text("label"),
        host_key=text("host_key"),
        interface=text("interface") or before.interface,
    )
    if text("address") != before.address:
        draft = draft.row(at, shown_key="", silent=False, port=0)
    role = text("role")
    if role == "master" and before.role != "master":
        return with_master(draft, at)
    return draft.row(at, role="node") if before.role == "master" != role else draft


def with_master(draft: Draft, at: int) -> Draft:
    """Make this host the master, and all other chosen hosts nodes."""
    return replace(
        draft,
        candidates=tuple(
            replace(it, role="master", chosen=True)
            if index == at
            else replace(it, role="node")
            if it.chosen or it.role == "master"
            else it
            for index, it in enumerate(draft.candidates)
        ),
    )
