"""The process that submissions are forked from: it has never seen one.

Started before any request, with an environment of our own, it loads what a child needs,
finds out what this machine offers for confinement, and says so. Then it forks a supervisor
whenever the service has something to say, and reads none of it itself.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import sysconfig
from collections.abc import Iterable

from verifiers.sandbox import (
    cgroup,
    channel,
    confine,
    kernel,
    landlock,
    runner,
    seccomp,
    submission,
    supervisor,
)
from verifiers.sandbox.artefacts import Artefacts
from verifiers.sandbox.confine import Layers

FIRST_UID = 64_000
"""Slot n becomes this uid plus n, where we are root: above what systems give to users, and with
`pool.SLOTS` of them below `nobody`."""


def main(service: int, slot: int, site_packages: str | None) -> None:
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # no neighbour may look into us
    group = cgroup.join(slot)
    layers, missing = find_layers(slot, site_packages, group)
    artefacts = Artefacts()
    channel.send(service, {"layers": layers.names, "missing": missing})
    runner.prepare()
    gc.collect()
    gc.freeze()  # what the children share stays shared
    gc.disable()
    try:
        while wait_for_service(service):
            pid = os.fork()
            if pid == 0:
                supervise(service, layers, site_packages, artefacts)
            if os.waitpid(pid, 0)[1]:
                break
    finally:
        artefacts.remove()
        if group is not None:
            group.leave()


def wait_for_service(service: int) -> bool:
    """True once there is something to read, False once the service has gone."""
    poll = select.poll()
    poll.register(service, select.POLLIN | select.POLLRDHUP)
    ((_, events),) = poll.poll()
    return not events & (select.POLLRDHUP | select.POLLHUP | select.POLLERR)


def supervise(
    service: int, layers: Layers, site_packages: str | None, artefacts: Artefacts
) -> None:
    """What a supervisor does, in its own process, to its end."""
    status = 1
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        submission.Submission(service, layers, site_packages, artefacts).serve()
        status = 0
    except supervisor.Starved as failure:
        channel.send(service, {"failure": str(failure)})
    except (channel.Closed, ConnectionResetError):
        pass
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def find_layers(
    slot: int, site_packages: str | None, group: cgroup.Group | None
) -> tuple[Layers, dict[str, str]]:
    """What can be put in force here, and why not what cannot."""
    missing: dict[str, str] = {}
    names = ["no_new_privs", "rlimits"]
    ruleset = system_calls = None
    try:
        ruleset = landlock.ruleset(confine.readable_paths(runtime_paths(site_packages)))
        names.append("landlock")
    except OSError as error:
        missing["landlock"] = str(error)
    if kernel.MACHINE in kernel.MACHINES:
        system_calls = seccomp.threads_only()
        names.append("seccomp")
    else:
        missing["seccomp"] = f"no table of system calls for {kernel.MACHINE}"
    uid, reads_as_root = identity(slot)
    names += ["uid"] if uid is not None else []
    names += ["cgroup"] if group is not None else []
    names += namespaces()
    max_threads = confine.MAX_THREADS if uid else max_threads_of_a_shared_uid()
    found = Layers(ruleset, system_calls, uid, reads_as_root, max_threads, group, tuple(names))
    return found, missing


def max_threads_of_a_shared_uid() -> int:
    """No more than half of what a container may have, so that we can always fork."""
    most = cgroup.most_processes()
    least, highest = confine.MAX_THREADS, confine.MAX_THREADS_OF_A_SHARED_UID
    return highest if most is None else min(highest, max(least, most // 2))


def identity(slot: int) -> tuple[int | None, bool]:
    """The uid for this slot's programs, and whether they must read files as root."""
    uid = FIRST_UID + slot
    for reads_as_root in (False, True):
        if os.geteuid() == 0 and can_become(uid, reads_as_root):
            return uid, reads_as_root
    return None, False


def can_become(uid: int, reads_as_root: bool) -> bool:
    """Tries in a child: the switch works, and the standard library is readable after it."""
    pid = os.fork()
    if pid == 0:
        try:
            confine.become(uid, reads_as_root)
            with open(os.__file__, "rb"):
                os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def namespaces() -> list[str]:
    """Leaves the machine's network and its shared memory, where the kernel lets us."""
    flags = kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC
    for attempt in (flags, flags | kernel.CLONE_NEWUSER):
        try:
            kernel.unshare(attempt)
        except OSError:
            continue
        return ["network_namespace", "ipc_namespace"]
    return []


def runtime_paths(site_packages: str | None) -> Iterable[str]:
    """The interpreter's own library without what is installed into it, and shared objects."""
    library = sysconfig.get_path("stdlib")
    for name in os.listdir(library):
        if name not in ("site-packages", "dist-packages", "test", "idlelib", "ensurepip"):
            yield os.path.join(library, name)
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    yield from (f"/lib/{multiarch}", f"/usr/lib/{multiarch}", "/lib64", "/usr/lib64")
    yield os.path.join(sys.base_prefix, "lib", sysconfig.get_config_var("LDLIBRARY") or "none")
    if site_packages is not None:
        yield from (os.path.join(site_packages, name) for name in ("numpy", "numpy.libs"))
