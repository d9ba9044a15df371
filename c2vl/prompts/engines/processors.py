"""Load the processor of a checkpoint: its tokenizer, and its image processor on Pillow.

transformers has video processors on torchvision alone. The engines see still images, so a processor
that wants one, or a feature extractor for sound, is loaded without it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from c2vl.prompts.engines.processor_files import settings_in

# Where a checkpoint names the class of its processor; the first that does so counts.
NAMED_IN = (
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "tokenizer_config.json",
)
NOT_FOR_STILLS = {"video_processor", "feature_extractor"}  # parts of a processor
OFFLINE = {"local_files_only": True, "trust_remote_code": False}
# Torchvision, where it is installed, gives other pixel values (by up to 0.0175). The same crop
# would get other features on another machine.
IMAGES = {**OFFLINE, "backend": "pil"}


def load_processor(folder: Path) -> Any:
    """Load the processor of a checkpoint, or its one part if it has no more.

    Raises:
        Exception: whatever transformers raises for files that it cannot read.
    """
    from transformers import AutoProcessor

    kind = _processor_class(folder)
    if kind is not None and NOT_FOR_STILLS.intersection(kind.get_attributes()):
        return _for_stills(kind, folder)
    return AutoProcessor.from_pretrained(folder, **IMAGES)


def _processor_class(folder: Path) -> Any:
    """The class that the checkpoint names, else that of its type of model, else None."""
    import transformers

    for name in (settings_in(folder / file).get("processor_class") for file in NAMED_IN):
        kind = getattr(transformers, str(name), None)
        if isinstance(kind, type) and issubclass(kind, transformers.ProcessorMixin):
            return kind
    config = transformers.AutoConfig.from_pretrained(folder, **OFFLINE)
    return transformers.PROCESSOR_MAPPING.get(type(config), None)


def _for_stills(kind: Any, folder: Path) -> Any:
    """A processor of class `kind` that has `NoPart` where it wants a part for videos or sound."""

    class ForStills(kind):
        def check_argument_for_proper_class(self, name: str, part: Any) -> Any:
            if name in NOT_FOR_STILLS:
                return None
            return super().check_argument_for_proper_class(name, part)

    module = import_module(kind.__module__)
    if getattr(module, "num2words", module) is None:  # SmolVLM's: it spells out numbers of frames
        vars(module)["num2words"] = str
    settings, _ = kind.get_processor_dict(folder, **OFFLINE)
    parts = [
        NoPart() if name in NOT_FOR_STILLS else _part(name, folder)
        for name in kind.get_attributes()
    ]
    processor = ForStills.from_args_and_dict(parts, settings)
    processor.__class__ = kind  # so that it can be pickled
    return processor


class NoPart(dict[str, Any]):  # transformers writes the parts of a processor as JSON
    """Stands where a processor wants a part that is never called; its settings are None."""

    model_input_names = ()

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def _part(name: str, folder: Path) -> Any:
    from transformers import AutoImageProcessor, AutoTokenizer

    if name == "image_processor":
        return AutoImageProcessor.from_pretrained(folder, **IMAGES)
    # A second tokenizer has a folder of its own.
    where = {} if name == "tokenizer" else {"subfolder": name}
    return AutoTokenizer.from_pretrained(folder, **where, **OFFLINE)
