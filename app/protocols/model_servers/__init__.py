"""Inference servers of reward models: vLLM, SGLang and TEI, a file each.

What they have in common is in `rating.py`: which model, and of what text. One switch,
`reward_model`, is that of all.
"""
