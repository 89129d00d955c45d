"""SAM-2 with a language prompt: the `sam2` package's model, and the one place where a [SEG] embedding enters it."""

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
"""ImageNet's, [3, 1, 1], rounded: the released inference code makes them in bfloat16, and masks depend on it."""


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """What the image encoder made of F frames, one in inference, whatever is then looked for in them."""

    fine: Tensor
    """[F, C, S/4, S/4], before the decoder's own `conv_s0`."""
    middle: Tensor
    """[F, C, S/8, S/8], before the decoder's own `conv_s1`."""
    coarse: Tensor
    """[F, C, S/16, S/16]."""
    position: Tensor
    """[F, C, S/16, S/16], position code of `coarse`."""


class Decoded(NamedTuple):
    """Masks of B objects in one frame."""

    logits: Tensor
    """float32 [B, 1, S/4, S/4], before the sigmoid: the best of three by predicted IoU."""
    ious: Tensor
    """[B, 3], predicted IoU of the three, 0-1; [B, 1] if only one is proposed."""
    score: Tensor
    """[B, 1], logit that the object is in the frame."""
    pointer: Tensor
    """[B, C], what later frames are told of the object."""


class Sam2(SAM2Base):  # type: ignore[misc]
    """SAM 2.0 from the `sam2` package, with a language embedding as one more prompt token.

    As Sa2VA uses it (section 3.2): the object score never blanks a mask, three masks are proposed in every frame and
    the one with the best predicted IoU is kept.
    """

    config: Sam2Config

    @classmethod
    def build(cls, config: Sam2Config) -> "Sam2":
        """Make a SAM-2 of this size with random weights, in evaluation mode."""
        settings = dict(config.packaged_settings())
        settings["_target_"] = f"{cls.__module__}.{cls.__qualname__}"
        model: Sam2 = instantiate(settings, _recursive_=True)
        model.config = config
        decoder = model.sam_mask_decoder  # for several points on one object, as SAM-2's own video predictor does
        decoder.dynamic_multimask_via_stability = config.multimask
        model.eval()
        return model

    def with_decoder(self, decoder: nn.Module) -> "Sam2":
        """The same model, sharing every weight, with another mask decoder."""
        other = copy.copy(self)
        other._modules = {**self._modules, "sam_mask_decoder": decoder}
        return other

    def picture(self, frame: Image) -> Tensor:
        """Bring an RGB frame uint8 [h, w, 3] to the encoder's size, uint8 [3, S, S]; its aspect is not kept."""
        side = self.image_size
        resized = resize(Pillow.fromarray(frame), side, side)
        return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1)

    def pixels(self, frame: Image) -> Tensor:
        """Make an RGB frame uint8 [h, w, 3] the encoder's input, float32 [1, 3, S, S]."""
        return _normalized(self.picture(frame)[None])

    def encode(self, frame: Image) -> FrameFeatures:
        """Run the image encoder, by far the most expensive part for few objects, on an RGB frame [h, w, 3]."""
        return self._encode(self.pixels(frame))

    def encode_pictures(self, pictures: Tensor) -> FrameFeatures:
        """Run the image encoder on several frames at once, uint8 [F, 3, S, S] as `picture` makes them."""
        return self._encode(_normalized(pictures.to(self.no_mem_embed.device)))

    def _encode(self, pixels: Tensor) -> FrameFeatures:
        weight = self.no_mem_embed
        output = self.image_encoder(pixels.to(weight.device, weight.dtype))
        fine, middle, coarse = output["backbone_fpn"]
        return FrameFeatures(fine, middle, coarse, output["vision_pos_enc"][-1])

    def decode(self, features: FrameFeatures, language: Tensor) -> Decoded:
        """Masks of the objects that the language embeddings [B, C] name, in a frame on its own: no memory."""
        coarse = features.coarse + self.no_mem_embed.view(1, -1, 1, 1)
        return self._decode(coarse.expand(len(language), -1, -1, -1), self.high_resolution(features), language)

    def decode_pairs(self, features: FrameFeatures, frames: Tensor, language: Tensor) -> Tensor:
        """Mask logits float32 [B, S/4, S/4] of each object in one frame of its own, as in training: no memory.

        Args:
            features: Of F frames.
            frames: int64 [B], which of them.
            language: Embeddings [B, C].
        """
        coarse = (features.coarse + self.no_mem_embed.view(1, -1, 1, 1))[frames]
        fine = [one[frames] for one in self.high_resolution(features)]
        return self._decode(coarse, fine, language).logits[:, 0]

    def follow(self, memory_conditioned: Tensor, features: FrameFeatures) -> Decoded:
        """Masks of B objects in a frame whose coarse features [B, C, S/16, S/16] have been told of earlier frames."""
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
        """The two finer maps as this mask decoder wants them: [F, C/8, S/4, S/4] and [F, C/4, S/8, S/8]."""
        decoder = self.sam_mask_decoder
        return [decoder.conv_s0(features.fine), decoder.conv_s1(features.middle)]

    def to_image_size(self, logits: Tensor) -> Tensor:
        """Mask logits [B, 1, S/4, S/4] at the size of the encoder's input, [B, 1, S, S]."""
        return F.interpolate(logits, (self.image_size, self.image_size), mode="bilinear", align_corners=False)


def _normalized(pictures: Tensor) -> Tensor:
    """Pictures uint8 [F, 3, S, S] as float32 with mean and deviation taken out."""
    device = pictures.device
    return pictures.float().div_(255).sub_(MEAN.to(device)).div_(STD.to(device))


def resized_logits(logits: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Bring mask logits [T, H, W] to each of these (height, width) in turn, bilinear, without antialiasing."""
    for size in sizes:
        logits = F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
    return logits
