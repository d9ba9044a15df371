"""Pretraining from knowledge prompts, and the baselines it is compared with."""
