"""A reward model's folder and its weights: what is read, checked and rendered for it."""
