"""The system calls that sandboxed programs may make: numbers, and conditions on arguments.

Data, read by `seccomp.py`. What is absent is denied: above all whatever makes a process or
a socket, reaches another process, changes a file by its path, or asks the kernel for more
than a computation needs.
"""

from __future__ import annotations

from typing import NamedTuple

OWN_PID = -1
"""In `Condition.values`: the pid of the process that installs the filter."""


class Condition(NamedTuple):
    """What one argument must be. Only the low 32 bits count, save for `is_null`."""

    argument: int
    values: tuple[int, ...] = ()
    all_bits: int = 0
    """One bit, which must be set."""
    no_bits: int = 0
    is_null: bool = False


Numbers = dict[str, tuple[int | None, int | None]]
"""name: (on x86_64, on aarch64), None where the machine has no such call."""

_PLAIN: Numbers = {
    # reading and writing through descriptors that are open
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "preadv": (295, 69),
    "pwritev": (296, 70),
    "preadv2": (327, 286),
    "pwritev2": (328, 287),
    "lseek": (8, 62),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "eventfd": (284, None),
    "eventfd2": (290, 19),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "ftruncate": (77, 46),
    "fadvise64": (221, 223),
    "copy_file_range": (326, 285),
    "shutdown": (48, 210),
    # opening and looking at files: Landlock says which may be opened
    "open": (2, None),
    "openat": (257, 56),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "umask": (95, 166),
    # waiting
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "epoll_create": (213, None),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441),
    "pause": (34, None),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "restart_syscall": (219, 128),
    "futex": (202, 98),
    "sched_yield": (24, 124),
    # memory
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "msync": (26, 227),
    "mincore": (27, 232),
    "madvise": (28, 233),
    "brk": (12, 214),
    "membarrier": (324, 283),
    # threads, and the end of the process
    "set_robust_list": (273, 99),
    "get_robust_list": (274, 100),
    "set_tid_address": (218, 96),
    "rseq": (334, 293),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "arch_prctl": (158, None),
    "wait4": (61, 260),
    "waitid": (247, 95),
    # signals and timers of the process itself
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132),
    "alarm": (37, None),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    # facts
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getpgrp": (111, None),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getgroups": (115, 158),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "time": (201, None),
    "gettimeofday": (96, 169),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "getrusage": (98, 165),
    "getrlimit": (97, 163),
    "getpriority": (140, 141),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "getcpu": (309, 168),
    "capget": (125, 90),
    "getrandom": (318, 278),
    # a connected pair, which event loops wake themselves with
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "getsockname": (51, 204),
    "getsockopt": (55, 209),
}

_CONDITIONAL: Numbers = {
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "setrlimit": (160, 164),
    "clone": (56, 220),
    "socketpair": (53, 199),
    "sendto": (44, 206),
}

_SPECIAL: Numbers = {
    "execve": (59, 221),
    "fork": (57, None),
    "vfork": (58, None),
    "clone3": (435, 435),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "rmdir": (84, None),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "utimensat": (280, 88),
    "sched_setaffinity": (203, 122),
}

NUMBERS = {**_PLAIN, **_CONDITIONAL, **_SPECIAL}

_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_DUPFD_CLOEXEC = 0, 1, 2, 3, 4, 1030
_TCGETS, _FIONREAD, _FIOCLEX, _FIONCLEX, _FIONBIO = 0x5401, 0x541B, 0x5451, 0x5450, 0x5421
_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 15, 16, 0x53564D41
_CLONE_THREAD = 0x00010000
_CLONE_NEW_ANYTHING = 0x7E020080
"""All namespaces. The kernel refuses most of them to threads; forks must not have them."""
_AF_UNIX = 1
_STREAMS = (0x1, 0x1 | 0x800, 0x1 | 0x80000, 0x1 | 0x80800)
"""SOCK_STREAM, perhaps with SOCK_NONBLOCK and SOCK_CLOEXEC. A datagram socket, though one of
a pair, could send to any unix socket that has a name."""

ALLOWED: dict[str, tuple[Condition, ...]] = {
    **dict.fromkeys(_PLAIN, ()),
    "ioctl": (Condition(1, (_TCGETS, _FIONREAD, _FIOCLEX, _FIONCLEX, _FIONBIO)),),
    "fcntl": (Condition(1, (_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_DUPFD_CLOEXEC)),),
    "kill": (Condition(0, (OWN_PID,)),),
    "tgkill": (Condition(0, (OWN_PID,)),),
    "prctl": (Condition(0, (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA)),),
    # Every hard limit equals its soft one, so none can be raised.
    "prlimit64": (Condition(0, (0, OWN_PID)),),
    "setrlimit": (),
    "clone": (Condition(0, all_bits=_CLONE_THREAD, no_bits=_CLONE_NEW_ANYTHING),),
    "socketpair": (Condition(0, (_AF_UNIX,)), Condition(1, _STREAMS)),
    "sendto": (Condition(4, is_null=True),),
}

EXECUTION: dict[str, tuple[Condition, ...]] = {"execve": (), "sched_setaffinity": ()}
"""For programs that are not this interpreter. Landlock names the files they may be."""

FORKING: dict[str, tuple[Condition, ...]] = {
    "fork": (),
    "vfork": (),
    "clone": (Condition(0, no_bits=_CLONE_NEW_ANYTHING),),
}
"""For compilers and shells. They keep their process group, by which all of them are killed:
setpgid and setsid stay denied."""

FILES: dict[str, tuple[Condition, ...]] = dict.fromkeys(
    (
        *("unlink", "unlinkat", "mkdir", "mkdirat", "rename", "renameat", "renameat2"),
        *("rmdir", "chmod", "fchmod", "fchmodat", "chdir", "fchdir", "utimensat"),
    ),
    (),
)
"""For compilers alone, in the folder that Landlock leaves to them."""
