"""A reward model's folder and its weights: what is read, checked and rendered for it.

config.json, model.safetensors, tokenizer.json …   a sequence classifier with one label,
                     as TRL, vLLM and others load it; its last layer is the ensemble's mean
heads.safetensors    the ensemble's last layers: weight (heads, hidden), bias (heads)
deeper.safetensors   if there is one: layers that only the guards' embeddings go through
assay.json           the `Card`: limits, the reference set, where the model came from
"""
