"""Answers from an OpenAI-compatible server (vLLM, SGLang); needs no torch."""
