"""SAM-2 with a language prompt: the `sam2` package's model, and the one method where a `[SEG]` embedding enters it.

Tensors: B objects, F frames, C = `d_model` channels, S = `image_size`. Source: Sa2VA, section 3.2.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from hydra.utils import instantiate
from PIL import Image as Pillow
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor, nn

from refsav.datasets.frames import Image
from refsav.model.families.bicubic import resize
from refsav.model.sam.config import Sam2Config

MEAN = torch.tensor([0.485, 0.456, 0.406]).bfloat16().float()[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225]).bfloat16().float()[:, None, None]
"""ImageNet's mean and standard deviation [3, 1, 1], rounded to bfloat16 as in the released inference code."""


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """The image encoder's output for F frames (one in inference); it does not depend on the prompts."""

    fine: Tensor
    """[F, C, S/4, S/4], before the decoder's own `conv_s0`."""
    middle: Tensor
    """[F, C, S/8, S/8], before the decoder's own `conv_s1`."""
    coarse: Tensor
    """[F, C, S/16, S/16]."""
    position: Tensor
    """[F, C, S/16, S/16], position encoding of `coarse`."""


class Decoded(NamedTuple):
    """Masks of B objects in one frame."""

    logits: Tensor
    """float32 [B, 1, S/4, S/4], before the sigmoid: of three masks, the one with the highest predicted IoU."""
    ious: Tensor
    """[B, 3], predicted IoU of the three masks, 0-1; [B, 1] if only one mask is proposed."""
    score: Tensor
    """[B, 1], logit that the object is in the frame."""
    pointer: Tensor
    """[B, C], object pointer, which later frames attend to."""


class Sam2(SAM2Base):  # type: ignore[misc]
    """SAM 2.0 from the `sam2` package, with a language embedding as an additional prompt token.

    As in Sa2VA, the object score never suppresses a mask, and of three masks proposed in each frame the one with the
    highest predicted IoU is kept.
    """

    config: Sam2Config

    @classmethod
    def build(cls, config: Sam2Config) -> "Sam2":
        """Build a SAM-2 of these sizes with random weights, in evaluation mode."""
        settings = dict(config.packaged_settings())
        settings["_target_"] = f"{cls.__module__}.{cls.__qualname__}"
        model: Sam2 = instantiate(settings, _recursive_=True)
        model.config = config
        decoder = model.sam_mask_decoder  # for several points on one object, as in SAM-2's video predictor
        decoder.dynamic_multimask_via_stability = config.multimask
        model.eval()
        return model

    def with_decoder(self, decoder: nn.Module) -> "Sam2":
        """Return a model with another mask decoder that shares all other weights with this one."""
        other = copy.copy(self)
        other._modules = {**self._modules, "sam_mask_decoder": decoder}
        return other

    def resize_frame(self, frame: Image) -> Tensor:
        """Resize an RGB frame uint8 [h, w, 3] to the encoder's size, uint8 [3, S, S], ignoring the aspect ratio."""
        side = self.image_size
        resized = resize(Pillow.fromarray(frame), side, side)
        return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1)

    def pixels(self, frame: Image) -> Tensor:
        """Resize and normalize an RGB frame uint8 [h, w, 3] to float32 [1, 3, S, S]."""
        return _normalized(self.resize_frame(frame)[None])

    def encode(self, frame: Image) -> FrameFeatures:
        """Run the image encoder, by far the most expensive module for few objects, on an RGB frame uint8 [h, w, 3]."""
        return self._encode(self.pixels(frame))

    def encode_batch(self, frames: Tensor) -> FrameFeatures:
        """Run the image encoder on several frames in one batch, uint8 [F, 3, S, S] from `resize_frame`."""
        return self._encode(_normalized(frames.to(self.no_mem_embed.device)))

    def _encode(self, pixels: Tensor) -> FrameFeatures:
        weight = self.no_mem_embed
        output = self.image_encoder(pixels.to(weight.device, weight.dtype))
        fine, middle, coarse = output["backbone_fpn"]
        return FrameFeatures(fine, middle, coarse, output["vision_pos_enc"][-1])

    def decode(self, features: FrameFeatures, language: Tensor) -> Decoded:
        """Decode the masks of the objects of language embeddings [B, C] in one frame, without memory."""
        coarse = features.coarse + self.no_mem_embed.view(1, -1, 1, 1)
        return self._decode(coarse.expand(len(language), -1, -1, -1), self.high_resolution(features), language)

    def decode_pairs(self, features: FrameFeatures, frames: Tensor, language: Tensor) -> Tensor:
        """Decode the mask of each object in one frame, without memory, as training does.

        Args:
            features: Features of F frames.
            frames: int64 [B], the index of each object's frame.
            language: Language embeddings [B, C].

        Returns:
            Mask logits float32 [B, S/4, S/4].
        """
        coarse = (features.coarse + self.no_mem_embed.view(1, -1, 1, 1))[frames]
        fine = [one[frames] for one in self.high_resolution(features)]
        return self._decode(coarse, fine, language).logits[:, 0]

    def follow(self, memory_conditioned: Tensor, features: FrameFeatures) -> Decoded:
        """Decode masks of B objects from coarse features [B, C, S/16, S/16] that are conditioned on earlier frames."""
        return self._decode(memory_conditioned, self.high_resolution(features), None)

    def _decode(self, coarse: Tensor, high_resolution: list[Tensor], language: Tensor | None) -> Decoded:
        batch, device = len(coarse), coarse.device
        nowhere = (torch.zeros(batch, 1, 2, device=device), -torch.ones(batch, 1, dtype=torch.int32, device=device))
        sparse, dense = self.sam_prompt_encoder(points=nowhere, boxes=None, masks=None)
        if language is not None:
            sparse = torch.cat([sparse, language[:, None].to(sparse.dtype)], dim=1)
        masks, ious, tokens, score = self.sam_mask_decoder(
            image_embeddings=coarse,
            image_pe=self.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=self.config.multimask,
            repeat_image=False,
            high_res_features=high_resolution,
        )
        best = ious.argmax(dim=-1)
        every = torch.arange(batch, device=device)
        visible = (score > 0).float()
        pointer = visible * self.obj_ptr_proj(tokens[every, best]) + (1 - visible) * self.no_obj_ptr
        return Decoded(masks[every, best].float()[:, None], ious, score, pointer)

    def high_resolution(self, features: FrameFeatures) -> list[Tensor]:
        """Return the mask decoder's two high-resolution inputs: [F, C/8, S/4, S/4] and [F, C/4, S/8, S/8]."""
        decoder = self.sam_mask_decoder
        return [decoder.conv_s0(features.fine), decoder.conv_s1(features.middle)]

    def to_image_size(self, logits: Tensor) -> Tensor:
        """Resize mask logits [B, 1, S/4, S/4] to the size of the encoder's input, [B, 1, S, S]."""
        return F.interpolate(logits, (self.image_size, self.image_size), mode="bilinear", align_corners=False)


def _normalized(frames: Tensor) -> Tensor:
    """Return frames uint8 [F, 3, S, S] as float32, normalized with mean and standard deviation."""
    device = frames.device
    return frames.float().div_(255).sub_(MEAN.to(device)).div_(STD.to(device))


def resized_logits(logits: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Resize mask logits [T, H, W] to each (height, width) in turn, bilinear, without antialiasing."""
    for size in sizes:
        logits = F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
    return logits
