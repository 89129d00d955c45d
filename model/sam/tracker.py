"""Track a batch of objects through a video with SAM-2's memory.

Tensors: B objects, C = `d_model` channels, S = `image_size`. Source: SAM-2, `propagate_in_video` and `track_step`.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

from refsav.model.sam.grounding import Decoded, FrameFeatures, Sam2

KEY, PASSED = "cond_frame_outputs", "non_cond_frame_outputs"
"""SAM-2's names of the memories of key frames, and of all other frames."""


class Tracks:
    """A batch of B objects with one memory bank.

    Frames must come in order, forwards or backwards. Memories of key frames are kept. Of the other frames, SAM-2 uses
    the last six memories and the last fifteen object pointers; older ones are deleted, so memory use does not grow.
    """

    def __init__(self, sam2: Sam2, frame_count: int, *, blank_hidden: bool) -> None:
        """Start with an empty memory.

        Args:
            sam2: The model, with the mask decoder to track with.
            frame_count: Number of frames of the video, which bounds the number of object pointers.
            blank_hidden: Whether a frame without the object gets an empty mask, as in SAM-2; in Sa2VA it does not.
        """
        self._sam2 = sam2
        self._frame_count = frame_count
        self._blank_hidden = blank_hidden
        self.key_logits: dict[int, Tensor] = {}
        """Mask logits [B, 1, S/4, S/4] of the key frames, by index of the frame."""
        self._remembered: dict[str, dict[int, dict[str, Any]]] = {KEY: {}, PASSED: {}}

    def prompt_decoded(self, index: int, features: FrameFeatures, decoded: Decoded) -> None:
        """Make frame `index` a key frame with the decoder's masks, as Sa2VA's released code does."""
        self.key_logits[index] = decoded.logits
        self._remember(KEY, index, features, decoded.logits, decoded.pointer, decoded.score)

    def prompt_masks(self, index: int, features: FrameFeatures, masks: Tensor, *, logits: Tensor | None = None) -> None:
        """Make frame `index` a key frame with given masks, as Sa2VA-i does (arXiv 2509.19082).

        Args:
            index: Index of the frame.
            features: Features of the frame.
            masks: bool [B, h, w], of any size.
            logits: Logits [B, 1, S/4, S/4] that the masks were computed from; they become the frame's result, which
                avoids another resizing.
        """
        side = self._sam2.image_size
        if masks.shape[-2:] != (side, side):
            smooth = F.interpolate(masks[:, None].float(), (side, side), mode="bilinear", antialias=True)
            masks = (smooth >= 0.5)[:, 0]
        self._prompt(index, features, len(masks), masks[:, None].float(), None)
        if logits is not None:
            self.key_logits[index] = logits

    def prompt_points(self, index: int, features: FrameFeatures, points: Tensor, labels: Tensor) -> None:
        """Make frame `index` a key frame with points on each object.

        Args:
            index: Index of the frame.
            features: Features of the frame.
            points: float [B, P, 2], (x, y) in pixels of the encoder's input.
            labels: int32 [B, P]: 1 on the object, 0 off it, 2 and 3 for the first and second corner of a box.
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
        """Return the mask logits [B, 1, S/4, S/4] of the objects in the next frame; `reverse` for the previous one."""
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
        """Delete the memories of all but the key frames, to track in the other direction."""
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
            current_vision_pos_embeds=[self._flat(features.position, batch)] * 3,  # only the last is used
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
            "maskmem_features": memory.to(torch.bfloat16),  # also for float32 models, as the weights were trained
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
        """Return [1, C, H, W] expanded to B objects in SAM-2's layout, [H·W, B, C], without a copy."""
        return level.expand(batch, -1, -1, -1).flatten(2).permute(2, 0, 1)
