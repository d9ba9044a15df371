"""The texts the tiny engines learn: wordings of the question, and sentences with a class name."""

from __future__ import annotations

from c2vl.prompts.engines.captioner import CaptionerParams
from c2vl.studio import vocabulary

# A captioner trained on one question answers only that one, down to the last full stop.
OTHER_QUESTIONS = (
    "What is the person doing?",
    "What are they trying to do? Are they holding anything?",
    "Describe the person's action, posture and what is in the hand.",
    "Is the person standing or sitting, and what is in the hand?",
)
# How people write a class for zero-shot recognition; the first is the bare name.
CLASS_TEMPLATES = (
    "{}",
    "{}.",
    "a person trying to {}.",
    "a photo of a person trying to {}.",
    "a video frame of the action {}.",
    "The person is trying to {}.",
    "They are trying to {}.",
)


def prompts() -> list[str]:
    """The captioner's full prompts: the paper's question first, then other wordings."""
    paper = CaptionerParams(model="").prompt()
    return [
        paper,
        *(CaptionerParams(model="", question=question).prompt() for question in OTHER_QUESTIONS),
    ]


def class_sentences() -> list[str]:
    """Every action name in every template, grouped by action."""
    return [template.format(name) for name in vocabulary.ACTIONS for template in CLASS_TEMPLATES]
