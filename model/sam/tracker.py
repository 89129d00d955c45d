"""Objects followed through a video together: what SAM-2 remembers of them, and the next frame from it."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

from refsav.model.sam.grounding import Decoded, FrameFeatures, Sam2

KEY, PASSED = "cond_frame_outputs", "non_cond_frame_outputs"
"""How SAM-2 calls what it remembers of key frames, and of those that it has passed."""


class Tracks:
    """A batch of B objects with one memory bank.

    Frames must be followed in order, forwards or backwards. The memory of key frames stays; of the others SAM-2 looks
    at the last six only, and at the last fifteen pointers. No more is kept, so memory does not grow with the video.
    """

    def __init__(self, sam2: Sam2, frame_count: int, *, blank_hidden: bool) -> None:
        """Begin with nothing remembered.

        Args:
            sam2: The model; its mask decoder is the one that follows.
            frame_count: Frames of the whole video, which bounds the pointers that are looked at.
            blank_hidden: Whether a frame without the object gets an empty mask, as SAM-2 has it; Sa2VA does not.
        """
        self._sam2 = sam2
        self._frame_count = frame_count
        self._blank_hidden = blank_hidden
        self.key_logits: dict[int, Tensor] = {}
        """Masks of the key frames as logits [B, 1, S/4, S/4], by frame."""
        self._remembered: dict[str, dict[int, dict[str, Any]]] = {KEY: {}, PASSED: {}}

    def prompt_decoded(self, index: int, features: FrameFeatures, decoded: Decoded) -> None:
        """Make frame `index` a key frame with masks as the decoder gave them (Sa2VA's released code)."""
        self.key_logits[index] = decoded.logits
        self._remember(KEY, index, features, decoded.logits, decoded.pointer, decoded.score)

    def prompt_masks(self, index: int, features: FrameFeatures, masks: Tensor, *, shown: Tensor | None = None) -> None:
        """Make frame `index` a key frame with given masks, bool [B, h, w].

        Args:
            index: Frame.
            features: Of this frame.
            masks: At any size.
            shown: Logits [B, 1, S/4, S/4] that the masks were made of, if so; they lose nothing by another resizing.
        """
        side = self._sam2.image_size
        if masks.shape[-2:] != (side, side):
            smooth = F.interpolate(masks[:, None].float(), (side, side), mode="bilinear", antialias=True)
            masks = (smooth >= 0.5)[:, 0]
        self._prompt(index, features, len(masks), masks[:, None].float(), None)
        if shown is not None:
            self.key_logits[index] = shown

    def prompt_points(self, index: int, features: FrameFeatures, points: Tensor, labels: Tensor) -> None:
        """Make frame `index` a key frame with points on each object.

        Args:
            index: Frame.
            features: Of this frame.
            points: float [B, P, 2], (x, y) in pixels of the encoder's input.
            labels: int32 [B, P]: 1 on the object, 0 beside it, 2 and 3 a box's first and second corner.
        """
        self._prompt(index, features, len(points), None, {"point_coords": points, "point_labels": labels})

    def _prompt(
        self,
        index: int,
        features: FrameFeatures,
        batch: int,
        masks: Tensor | None,
        points: dict[str, Tensor] | None,
    ) -> None:
        output = self._step(index, features, batch, first=True, masks=masks, points=points, reverse=False)
        logits = self.key_logits[index] = output["pred_masks"]
        self._remember(KEY, index, features, logits, output["obj_ptr"], output["object_score_logits"], exact=True)

    def follow(self, index: int, features: FrameFeatures, *, reverse: bool = False) -> Tensor:
        """Masks of the objects in the next frame, as logits [B, 1, S/4, S/4]."""
        batch = len(next(iter(self._remembered[KEY].values()))["obj_ptr"])
        if self._blank_hidden:
            output = self._step(index, features, batch, first=False, masks=None, points=None, reverse=reverse)
            logits: Tensor = output["pred_masks"]
            pointer, score = output["obj_ptr"], output["object_score_logits"]
        else:
            current, position = self._flat(features.coarse, batch), self._flat(features.position, batch)
            size = tuple(features.coarse.shape[-2:])
            conditioned: Tensor = self._sam2._prepare_memory_conditioned_features(
                frame_idx=index,
                is_init_cond_frame=False,
                current_vision_feats=[current],
                current_vision_pos_embeds=[position],
                feat_sizes=[size],
                output_dict=self._remembered,
                num_frames=self._frame_count,
                track_in_reverse=reverse,
            )
            logits, _, score, pointer = self._sam2.follow(conditioned, features)
        self._remember(PASSED, index, features, logits, pointer, score)
        self._forget(index)
        return logits

    def turn_back(self) -> None:
        """Forget all but the key frames, to follow in the other direction."""
        self._remembered[PASSED].clear()

    def _step(
        self,
        index: int,
        features: FrameFeatures,
        batch: int,
        *,
        first: bool,
        masks: Tensor | None,
        points: dict[str, Tensor] | None,
        reverse: bool,
    ) -> dict[str, Any]:
        fine, middle = self._sam2.high_resolution(features)
        levels = (fine, middle, features.coarse)
        output: dict[str, Any] = self._sam2.track_step(
            frame_idx=index,
            is_init_cond_frame=first,
            current_vision_feats=[self._flat(level, batch) for level in levels],
            current_vision_pos_embeds=[self._flat(features.position, batch)] * 3,  # only the last is looked at
            feat_sizes=[tuple(level.shape[-2:]) for level in levels],
            point_inputs=points,
            mask_inputs=masks,
            output_dict=self._remembered,
            num_frames=self._frame_count,
            track_in_reverse=reverse,
            run_mem_encoder=False,
        )
        return output

    def _remember(
        self,
        kind: str,
        index: int,
        features: FrameFeatures,
        logits: Tensor,
        pointer: Tensor,
        score: Tensor,
        *,
        exact: bool = False,
    ) -> None:
        batch = len(pointer)
        memory, position = self._sam2._encode_new_memory(
            current_vision_feats=[self._flat(features.coarse, batch)],
            feat_sizes=[tuple(features.coarse.shape[-2:])],
            pred_masks_high_res=self._sam2.to_image_size(logits),
            object_score_logits=score,
            is_mask_from_pts=exact,
        )
        self._remembered[kind][index] = {
            "maskmem_features": memory.to(torch.bfloat16),  # in float32 too: that is how the weights have met it
            "maskmem_pos_enc": position,
            "obj_ptr": pointer,
        }

    def _forget(self, index: int) -> None:
        passed = self._remembered[PASSED]
        for other in list(passed):
            age = abs(index - other) + 1  # at the next frame
            if age >= self._sam2.max_obj_ptrs_in_encoder:
                del passed[other]
            elif age >= self._sam2.num_maskmem:
                passed[other] = {"maskmem_features": None, "maskmem_pos_enc": None, "obj_ptr": passed[other]["obj_ptr"]}

    @staticmethod
    def _flat(level: Tensor, batch: int) -> Tensor:
        """[1, C, H, W] for B objects as SAM-2 wants it: [H·W, B, C], without a copy."""
        return level.expand(batch, -1, -1, -1).flatten(2).permute(2, 0, 1)
