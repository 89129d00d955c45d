"""From `[SEG]` embeddings to masks in every frame: algorithm 1 of the paper, and two other ways through SAM-2.

Every frame goes through the image encoder once, whatever the number of objects, and is read when its turn comes.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from refsav.model.inference_settings import Propagation
from refsav.model.media.clip import Clip
from refsav.model.sam.grounding import Sam2, resized_logits
from refsav.model.sam.tracker import Tracks
from refsav.processes.cancellation import look


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
    """Yield the masks of the objects that embeddings name, frame by frame, in order.

    Args:
        sam2: With the decoder that was trained on `[SEG]` embeddings.
        clip: The frames; they are read one at a time.
        language: Projected `[SEG]` states [B, C], B at least 1; [B, key frames, C] where each of those has its own.
        key_frames: Indices, increasing, at least one.
        propagation: How the other frames get theirs.
        untouched: The same SAM-2 with its original decoder, for `consistent`; None if `sam2` has it itself.
        objects_at_once: Bounds memory: more objects are followed in groups of so many.

    Raises:
        StoppedError: If this thread is to end, between two frames.
    """
    groups = torch.split(language, objects_at_once)
    if propagation == "none" or len(key_frames) == clip.count:
        for index, frame in clip.frames(range(clip.count)):
            look()
            features = sam2.encode(frame)
            prompts = [_prompt(group, key_frames, index) for group in groups]
            yield FrameLogits(index, torch.cat([sam2.decode(features, prompt).logits for prompt in prompts])[:, 0])
        return
    follower = untouched if propagation == "consistent" and untouched is not None else sam2
    tracks = [Tracks(follower, clip.count, blank_hidden=propagation == "consistent") for _ in groups]
    for index, frame in clip.frames(key_frames):
        look()
        features = sam2.encode(frame)
        for group, track in zip(groups, tracks, strict=True):
            decoded = sam2.decode(features, _prompt(group, key_frames, index))
            if propagation == "official":
                track.prompt_decoded(index, features, decoded)
            else:
                sizes = [(sam2.image_size, sam2.image_size), (clip.height, clip.width)]
                masks = resized_logits(decoded.logits[:, 0], sizes) > 0
                track.prompt_masks(index, features, masks, shown=decoded.logits)
    yield from follow(sam2, clip, tracks)


def _prompt(language: Tensor, key_frames: Sequence[int], index: int) -> Tensor:
    """Embeddings [B, C] for a frame: where key frames have their own, that of the last one that is not behind it."""
    if language.dim() == 2:
        return language
    return language[:, max(0, bisect_right(key_frames, index) - 1)]


@torch.inference_mode()
def follow(sam2: Sam2, clip: Clip, tracks: Sequence[Tracks]) -> Iterator[FrameLogits]:
    """Yield all frames in order: key frames of a track as they were prompted, the others followed from them.

    Frames before a track's first key frame are followed backwards from it; their logits are kept until their turn
    comes, 0.26 MB for an object and frame at full size. All others are forgotten as soon as they are out.
    """
    starts = [min(track.key_logits) for track in tracks]
    earlier: list[dict[int, Tensor]] = [{} for _ in tracks]
    for index, frame in clip.frames(range(max(starts) - 1, -1, -1)):
        look()
        features = sam2.encode(frame)
        for track, start, kept in zip(tracks, starts, earlier, strict=True):
            if index < start:
                kept[index] = track.follow(index, features, reverse=True)
    for track in tracks:
        track.turn_back()
    ready = [{**track.key_logits, **kept} for track, kept in zip(tracks, earlier, strict=True)]
    frames = clip.frames([index for index in range(clip.count) if any(index not in known for known in ready)])
    for index in range(clip.count):
        look()
        found = [known.pop(index, None) for known in ready]
        if all(logits is not None for logits in found):
            parts = [logits for logits in found if logits is not None]
        else:
            features = sam2.encode(next(frames)[1])
            parts = [
                track.follow(index, features) if logits is None else logits
                for track, logits in zip(tracks, found, strict=True)
            ]
        yield FrameLogits(index, torch.cat(parts)[:, 0])
