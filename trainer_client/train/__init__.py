"""The trainer: policies trained on rewards that the service gives over HTTP. Needs torch.

A run (`run.py`) is a cold start, the loop, and a report:

1. `sft.py` fine-tunes on demonstrations where the policy needs a start.
2. `loop.py` takes steps until `grpo.steps` are done. In each
    1. a task says what is asked, by the seed and the step alone;
    2. an engine writes a group of completions for every prompt, and each group is sent to the
       service as soon as it is whole;
    3. the policy at the start reads them meanwhile, for the KL;
    4. scores come back: a reward, or an error. What could not be scored is left out, and too
       much of it ends the run. Rewards of a group become advantages;
    5. the policy learns, minibatch by minibatch, from the loss of every token;
    6. gold, if there is any, has scored some of the completions, and may raise an alarm;
   and now and then a checkpoint and a measurement on held-out problems.
3. `report.py` draws and tells what came of it, from the files that the run wrote.

Every draw is a function of the seed, its purpose and the step: a resumed run repeats, number
for number, what an uninterrupted one would have done.

| to start      | cli         the commands; imports torch only inside them                        |
|               | config      one TOML file says everything about a run                           |
|               | run         a whole run: its folder, service, threads, cold start, loop, report |
|               | demo        a run against a service of its own                                  |
| to learn      | loop        the loop, from top to bottom                                        |
|               | sft         the cold start                                                      |
|               | algorithms/ advantages and losses: pure, a file an algorithm                    |
|               | optimizer   AdamW, Muon, the learning rate                                      |
| to write      | tasks/      what is asked and shown, a file a task                              |
|               | engines/    how completions are written, a file an engine                       |
|               | policy      a model with its tokenizer                                          |
|               | packing     tokens laid out for a forward pass, a prompt once for its group     |
| to look after | rollouts    groups and rollouts of a step, and the numbers that describe them   |
|               | evaluate    exact match on held-out problems                                    |
|               | monitoring  gold's watch for a reward that rises while gold falls               |
|               | stopping    what ends a run before its time                                     |
| to leave      | run_folder  the files of a run                                                  |
|               | checkpoint  whole or absent, and enough to go on from                           |
|               | display     a progress bar, and lines above it                                  |
|               | report      curves and a report                                                 |

Imports point one way: cli, demo, run, loop; then tasks and engines, which do not know each
other; then config; then algorithms, which know nothing but numbers.
"""
