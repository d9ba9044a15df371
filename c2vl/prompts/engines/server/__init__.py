"""Answers from an OpenAI-compatible server (vLLM, SGLang): the captioner's other half, without torch."""
