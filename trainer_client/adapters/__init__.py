"""Rewards from the service in the dialect of each trainer, a module a framework.

Every module imports its framework inside functions, so all can be imported anywhere. What
could not be scored never becomes a silent zero; what each framework sees instead:

| module     | what could not be scored                                                        |
| trl        | None, which TRL leaves out of the group's mean and deviation                      |
| verl       | 0.0 with `valid` 0.0: verl has no slot for it, and takes an exception for a crash |
| verifiers  | an exception, stored on the trace; prime-rl drops such traces                     |
| skyrl      | an exception                                                                    |
| nemo_rl    | 0.0 with `valid` false in the metadata: NeMo-RL has no slot for it                |
| openrlhf   | 0.0 with `valid` 0.0 in the extra logs: OpenRLHF cannot hold anything else        |
| atropos    | left out of the group; fewer than two left are no group                           |

A service that stays unreachable, or refuses a request, is an exception everywhere.
"""
