"""Cgroups, version 2: a group around each slot, where a place for such groups is ours.

See `cgroups(7)`. The place is the group above the service's own: the root of what we see, a
group of our user's, or one that systemd has delegated (`Delegate=memory pids` together with
`DelegateSubgroup=service`). A zygote joins its slot's group once, at its start, since moving a
process is slow; what it forks is born there.
"""

from __future__ import annotations

import contextlib
import os

MOUNT = "/sys/fs/cgroup"
CONTROLLERS = ("memory", "pids")
DELEGATED = ("user.delegate", "trusted.delegate")
"""Extended attributes by which systemd says that it leaves a group alone."""


class Group:
    """The group of one slot. Its limits leave room for one program more than there is now."""

    def __init__(self, path: str, home: str) -> None:
        self.path = path
        self.home = home

    def make_room(self, memory_bytes: int, max_threads: int) -> None:
        """Called before a program is forked, so that none can take the room of the next."""
        for what, more in (("memory", memory_bytes), ("pids", max_threads)):
            current = int(self._read(f"{what}.current"))
            write(self.path, f"{what}.max", str(current + more))

    def kills(self) -> int:
        """How many processes the kernel has ended here for want of memory."""
        events = dict(line.split() for line in self._read("memory.events").splitlines())
        return int(events["oom_kill"])

    def leave(self) -> None:
        """Goes back, as the last one, and removes the group."""
        with contextlib.suppress(OSError):
            write(self.home, "cgroup.procs", "0")
            os.rmdir(self.path)

    def _read(self, name: str) -> str:
        with open(os.path.join(self.path, name)) as file:
            return file.read()


def join(slot: int) -> Group | None:
    """Joins a group made for this slot; None where there is no place for one."""
    try:
        home = own_group()
        place = MOUNT + os.path.dirname(home)
        if not (offers(place) and is_ours(place)):
            return None
        write(place, "cgroup.subtree_control", " ".join(f"+{name}" for name in CONTROLLERS))
        group = Group(os.path.join(place, f"assay-{os.getppid()}-{slot}"), MOUNT + home)
        os.makedirs(group.path, exist_ok=True)
        write(group.path, "cgroup.procs", "0")
        return group
    except OSError:
        return None


def most_processes() -> int | None:
    """How many processes and threads a container's own group lets us have; None where any."""
    for name in ("pids.max", "pids/pids.max"):  # of version 2, of version 1
        with contextlib.suppress(OSError, ValueError), open(os.path.join(MOUNT, name)) as file:
            return int(file.read())
    return None


def own_group() -> str:
    """This process's group in the one hierarchy of version 2.

    Raises:
        FileNotFoundError: there is none.
    """
    with open("/proc/self/cgroup") as file:
        for line in file:
            if line.startswith("0::/"):
                return line[3:].rstrip("\n")
    raise FileNotFoundError("no cgroups of version 2")


def offers(place: str) -> bool:
    """Whether groups below can have limits of memory and processes."""
    with open(os.path.join(place, "cgroup.controllers")) as file:
        return set(CONTROLLERS) <= set(file.read().split())


def is_ours(place: str) -> bool:
    """Whether nobody else makes groups at `place`."""
    if os.path.normpath(place) == MOUNT or (os.getuid() and os.stat(place).st_uid == os.getuid()):
        return True
    return any(attribute in os.listxattr(place) for attribute in DELEGATED)


def write(group: str, name: str, content: str) -> None:
    with open(os.path.join(group, name), "r+") as file:  # which makes no new file
        file.write(content)
