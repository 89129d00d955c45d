"""Records inputs and outputs of the parts of a model while it answers."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from torch import Tensor, nn

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.model.families.vision import VisionFeatures
from refsav.model.sa2va import Sa2VA
from refsav.model.sam.grounding import Decoded, FrameFeatures


@dataclass
class Passed:
    """Inputs and outputs, in the order in which they came."""

    sights: list[VisionFeatures] = field(default_factory=list)
    pixels: list[Tensor] = field(default_factory=list)
    """What the vision tower was given."""
    before_norm: list[Tensor] = field(default_factory=list)
    """The language model's last layer, [B, L, H]."""
    after_norm: list[Tensor] = field(default_factory=list)
    sam2_features: list[FrameFeatures] = field(default_factory=list)
    sparse_prompts: list[Tensor] = field(default_factory=list)
    """[B, 2, C], before the language token is appended."""
    decoded: list[Decoded] = field(default_factory=list)
    memories: list[Tensor] = field(default_factory=list)
    """[B, C, S/16, S/16], before they are stored in bfloat16."""
    memory_tokens: list[tuple[int, int]] = field(default_factory=list)
    """Tokens that memory attention looked at, and how many of them are pointers."""
    memory_attention: list[Tensor] = field(default_factory=list)
    """[tokens of a frame, B, C]."""


@contextmanager
def watching(model: Sa2VA) -> Iterator[Passed]:
    """Record what passes through the model without changing its results."""
    passed = Passed()
    inner: Any = model.mllm.model  # its parts have other names in every family
    tower = inner.visual if hasattr(inner, "visual") else inner.vision_tower
    sam2 = model.sam2

    def look_at_memory(_: nn.Module, __: Any, given: dict[str, Any], output: Tensor) -> None:
        passed.memory_tokens.append((len(given["memory"]), given["num_obj_ptr_tokens"]))
        passed.memory_attention.append(output)

    hooks = [
        tower.register_forward_pre_hook(
            lambda _, args, given: passed.pixels.append(args[0] if args else given["pixel_values"]), with_kwargs=True
        ),
        inner.language_model.norm.register_forward_pre_hook(lambda _, args: passed.before_norm.append(args[0])),
        inner.language_model.norm.register_forward_hook(lambda _, __, output: passed.after_norm.append(output)),
        sam2.sam_prompt_encoder.register_forward_hook(lambda _, __, output: passed.sparse_prompts.append(output[0])),
        sam2.memory_encoder.register_forward_hook(
            lambda _, __, output: passed.memories.append(output["vision_features"])
        ),
        sam2.memory_attention.register_forward_hook(look_at_memory, with_kwargs=True),
    ]
    see, encode, decode, follow = model.adapter.encode_frames, sam2.encode, sam2.decode, sam2.follow

    def saw(frames: Sequence[Image], regions: Sequence[Mask]) -> VisionFeatures:
        passed.sights.append(see(frames, regions))
        return passed.sights[-1]

    def encoded(frame: Image) -> FrameFeatures:
        passed.sam2_features.append(encode(frame))
        return passed.sam2_features[-1]

    def decoded(features: FrameFeatures, language: Tensor) -> Decoded:
        passed.decoded.append(decode(features, language))
        return passed.decoded[-1]

    def followed(conditioned: Tensor, features: FrameFeatures) -> Decoded:
        passed.decoded.append(follow(conditioned, features))
        return passed.decoded[-1]

    with ExitStack() as stack:
        stack.enter_context(patch.object(model.adapter, "encode_frames", saw))
        for name, method in (("encode", encoded), ("decode", decoded), ("follow", followed)):
            stack.enter_context(patch.object(sam2, name, method))
        try:
            yield passed
        finally:
            for hook in hooks:
                hook.remove()
