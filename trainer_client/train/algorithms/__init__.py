"""What is learned from rewards: pure functions, a file an algorithm, none of which does I/O.

advantages.py   rewards of a group -> an advantage each; plain numbers, a table of estimators
grpo.py         log-probabilities and advantages -> the loss of every token
"""
