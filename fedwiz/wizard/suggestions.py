"""Answers that need no typing: those stored in etcd, and a backend's previous options."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fedwiz.answers.file import from_flannel_config
from fedwiz.facts import ClusterFacts
from fedwiz.model import addresses
from fedwiz.model.backends import BACKENDS
from fedwiz.wizard.draft import Draft

DEFAULT_BACKEND = next(iter(BACKENDS))
"""The backend unless the operator chooses another."""


def config_in_etcd(known: ClusterFacts) -> dict[str, dict[str, Any]]:
    """The sections of the configuration in etcd; empty: it has none that can be used."""
    config = known.store.config
    return from_flannel_config(config.text) if config is not None else {}


def from_etcd(draft: Draft, known: ClusterFacts) -> Draft:
    """Fill unanswered questions from etcd.

    Verifying a public network that already runs needs no permission; installing one does.
    """
    stored, answers = config_in_etcd(known), {**draft.said}
    if not stored:
        return draft
    net = dict(stored["network"])
    if draft.goal == "verify" and addresses.is_public(net["cidr"]):
        net["allow_public"] = True
    answers["network"] = net | table(answers.get("network"))
    if "backend" in stored:
        answers.setdefault("backend", stored["backend"])
    return replace(draft, said=answers)


def proposed(draft: Draft, known: ClusterFacts, free: str) -> Draft:
    """Suggest a network if none is answered: the one in etcd, otherwise a free one.

    Args:
        draft: the operator's draft.
        known: the facts of the hosts.
        free: a network that none of them uses; empty: there is none.
    """
    if draft.get("network.cidr") is not None:
        return draft
    if config_in_etcd(known):
        return from_etcd(draft, known)
    return draft.put("network.cidr", free) if free else draft


def choose(draft: Draft, name: str) -> Draft:
    """Choose another backend, and restore the options that it had before."""
    options = table(draft.said.get("backend"))
    current = BACKENDS.get(str(options.pop("type", DEFAULT_BACKEND)))
    options_by_backend = dict(draft.held)
    if current is not None:
        options_by_backend[current.name] = {
            key: it for key, it in options.items() if current.option(key)
        }
    chosen = {"type": name, **table(options_by_backend.get(name))}
    return replace(draft, held=options_by_backend, said={**draft.said, "backend": chosen})


def table(value: object) -> dict[str, Any]:
    """A copy of a table of answers; empty for anything else."""
    return dict(value) if isinstance(value, Mapping) else {}
