"""The client of the Assay reward service, and a GRPO trainer that uses it."""
