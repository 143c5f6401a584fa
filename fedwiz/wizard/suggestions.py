"""What a draft takes without being typed: what etcd holds, the options a backend had before."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fedwiz.answers.file import from_flannel_config
from fedwiz.facts import ClusterFacts
from fedwiz.model import addresses
from fedwiz.model.backends import BACKENDS
from fedwiz.wizard.draft import Draft

DEFAULT_BACKEND = next(iter(BACKENDS))
"""The backend where none was said."""


def held(known: ClusterFacts) -> dict[str, dict[str, Any]]:
    """The sections that etcd's config gives; empty: it holds none that can be taken."""
    config = known.store.config
    return from_flannel_config(config.text) if config is not None else {}


def from_etcd(draft: Draft, known: ClusterFacts) -> Draft:
    """With what etcd holds, where nothing was said.

    A network that is public and runs already needs no leave to be verified, but for an install.
    """
    found, said = held(known), {**draft.said}
    if not found:
        return draft
    net = dict(found["network"])
    if draft.goal == "verify" and addresses.is_public(net["cidr"]):
        net["allow_public"] = True
    said["network"] = net | table(said.get("network"))
    if "backend" in found:
        said.setdefault("backend", found["backend"])
    return replace(draft, said=said)


def proposed(draft: Draft, known: ClusterFacts, free: str) -> Draft:
    """With a network, where none was said: the one that etcd holds, else one that is free.

    Args:
        draft: what was said.
        known: what was read of the hosts.
        free: a network that none of them uses; empty: there is none.
    """
    if draft.get("network.cidr") is not None:
        return draft
    if held(known):
        return from_etcd(draft, known)
    return draft.put("network.cidr", free) if free else draft


def choose(draft: Draft, name: str) -> Draft:
    """The draft with another backend, and with the options that were given to that one before."""
    options = table(draft.said.get("backend"))
    was = BACKENDS.get(str(options.pop("type", DEFAULT_BACKEND)))
    before = dict(draft.held)
    if was is not None:
        before[was.name] = {key: it for key, it in options.items() if was.option(key)}
    chosen = {"type": name, **table(before.get(name))}
    return replace(draft, held=before, said={**draft.said, "backend": chosen})


def table(said: object) -> dict[str, Any]:
    """A table of answers; of anything else, none."""
    return dict(said) if isinstance(said, Mapping) else {}
