"""From `[SEG]` embeddings to masks in every frame: algorithm 1 of the paper, and two other ways through SAM-2.

Every frame goes through the image encoder once, whatever the number of objects, and is read when its turn comes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from refsav.model.clip import Clip
from refsav.model.grounding import Sam2, resized_logits
from refsav.model.tracks import Tracks

Propagation = Literal["official", "consistent", "none"]
"""How masks come to the frames between key frames.

official: as the released code, the fine-tuned decoder also where SAM-2's memory leads.
consistent: masks of key frames as in training, then an untouched SAM-2 is prompted with them (arXiv 2509.19082).
none: every frame is decoded from the words alone, as in training.
"""


@dataclass(frozen=True, slots=True)
class FrameLogits:
    """Masks of B objects in one frame."""

    index: int
    logits: Tensor
    """float32 [B, S/4, S/4], before the sigmoid."""


@torch.inference_mode()
def segment(
    sam2: Sam2,
    clip: Clip,
    language: Tensor,
    key_frames: Sequence[int],
    propagation: Propagation,
    *,
    untouched: Sam2 | None = None,
    objects_at_once: int = 16,
) -> Iterator[FrameLogits]:
    """Yield the masks of the objects that the embeddings [B, C] name, frame by frame, in order.

    Args:
        sam2: With the decoder that was trained on `[SEG]` embeddings.
        clip: The frames; they are read one at a time.
        language: Projected `[SEG]` states [B, C], B at least 1.
        key_frames: Indices, increasing, at least one.
        propagation: How the other frames get theirs.
        untouched: The same SAM-2 with its original decoder, for `consistent`; None if `sam2` has it itself.
        objects_at_once: Bounds memory: more objects are followed in groups of so many.
    """
    groups = torch.split(language, objects_at_once)
    if propagation == "none" or len(key_frames) == clip.count:
        for index, frame in clip.frames(range(clip.count)):
            features = sam2.encode(frame)
            yield FrameLogits(index, torch.cat([sam2.decode(features, group).logits for group in groups])[:, 0])
        return
    follower = untouched if propagation == "consistent" and untouched is not None else sam2
    tracks = [Tracks(follower, clip.count, blank_hidden=propagation == "consistent") for _ in groups]
    done: dict[int, Tensor] = {}
    for index, frame in clip.frames(key_frames):
        features = sam2.encode(frame)
        found = []
        for group, track in zip(groups, tracks, strict=True):
            decoded = sam2.decode(features, group)
            found.append(decoded.logits)
            if propagation == "official":
                track.prompt_decoded(index, features, decoded)
            else:
                size = (clip.height, clip.width)
                masks = resized_logits(decoded.logits[:, 0], [(sam2.image_size, sam2.image_size), size]) > 0
                track.prompt_masks(index, features, masks)
        done[index] = torch.cat(found)[:, 0]
    yield from follow(sam2, clip, tracks, done)


@torch.inference_mode()
def follow(sam2: Sam2, clip: Clip, tracks: Sequence[Tracks], done: dict[int, Tensor]) -> Iterator[FrameLogits]:
    """Yield all frames in order: key frames as they are in `done`, the others followed from what was remembered.

    Frames before the first key frame are followed backwards from it; their logits are kept until then, 0.26 MB for an
    object and frame at full size. All others are forgotten as soon as they are out.
    """
    first = min(done)
    if first:
        earlier: dict[int, Tensor] = {}
        for index, frame in clip.frames(range(first - 1, -1, -1)):
            features = sam2.encode(frame)
            earlier[index] = torch.cat([track.follow(index, features, reverse=True) for track in tracks])[:, 0]
        for index in range(first):
            yield FrameLogits(index, earlier.pop(index))
        for track in tracks:
            track.turn_back()
    waiting = [index for index in range(first, clip.count) if index not in done]
    frames = clip.frames(waiting)
    for index in range(first, clip.count):
        if index in done:
            yield FrameLogits(index, done[index])
        else:
            _, frame = next(frames)
            features = sam2.encode(frame)
            yield FrameLogits(index, torch.cat([track.follow(index, features) for track in tracks])[:, 0])
