"""Images: the disks of a cluster on which something was installed, to start clusters from.

An image is the writable folder of each host of a lab that was shut down, plus the lab's ssh key
and the hosts' own. Hosts that start from it get a copy (some 15 MB each, most of it journal), so a
reset costs little more than that of bare hosts. The lab's addresses are in etcd's data, in leases
and in /etc/hosts: an image fits a lab in its own subnet alone, and a lab that wants one takes a
free subnet of which there is one. Images end with the process that they were made for.
"""

import shutil
import time
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

from . import labstate
from .labstate import RUN, State, started

KEYS = ("id_ed25519", "id_ed25519.pub", "known_hosts")
"""What an image has of the lab that it was made of."""


def folder_for(owner: int) -> Path:
    """Where the images are that end with that process."""
    return RUN / f".images-{owner}-{started(owner)}"


def path_in(images: Path, generation: str, flannel: str, count: int, subnet: IPv4Network) -> Path:
    """Where an image for such a lab is, or would be."""
    third = subnet.network_address.packed[2]
    return images / f"{generation}-{flannel}-{count}-{third}"


def make(state: State, image: Path, home: Path) -> None:
    """Take the folders of a stopped lab, whose hosts are unmounted, and the installer's home."""
    part = image.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    for host in state.hosts:
        (state.home(host) / "upper").rename(part / host.name)
    for name in KEYS:
        shutil.copy2(state.folder / name, part)
    shutil.copytree(home, part / "home", symlinks=True)
    part.rename(image)


def finder(
    images: Path, generation: str, flannel: str, count: int
) -> Callable[[IPv4Network], Path]:
    """Where the image for a lab in a subnet would be."""

    def image(subnet: IPv4Network) -> Path:
        return path_in(images, generation, flannel, count, subnet)

    return image


def take_keys(state: State) -> None:
    """Let a lab that starts from an image have the keys that its hosts know."""
    for name in KEYS:
        shutil.copy2(Path(state.image) / name, state.folder)


def sweep(owner: int) -> None:
    """Make the folder of images; remove it when its process has ended and no lab needs it."""
    folder = folder_for(owner)
    folder.mkdir(mode=0o700)
    print("made", flush=True)
    labstate.wait_for_end(owner)
    while any(lab.get("image", "").startswith(f"{folder}/") for lab in labstate.descriptions()):
        time.sleep(0.2)  # their guards end them now
    shutil.rmtree(folder, ignore_errors=True)
