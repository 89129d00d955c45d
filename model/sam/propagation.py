"""From `[SEG]` embeddings to masks in every frame: Sa2VA, algorithm 1; Sa2VA-i (arXiv 2509.19082); no propagation.

The image encoder runs once per frame for any number of objects, and frames are read one at a time.
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
    """Yield the masks of the objects of `[SEG]` embeddings, frame by frame.

    Args:
        sam2: The model, with the decoder that was trained on `[SEG]` embeddings.
        clip: The frames; they are read one at a time.
        language: Projected `[SEG]` states [B, C], B at least 1; [B, key frames, C] if each key frame has its own.
        key_frames: Indices in increasing order, at least one.
        propagation: How the other frames get their masks.
        untouched: The same SAM-2 with its original decoder, for `consistent`; None if `sam2` has the original decoder.
        objects_at_once: Largest number of objects of a batch, which bounds memory.

    Raises:
        StoppedError: If this thread is cancelled, between two frames.
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
                track.prompt_masks(index, features, masks, logits=decoded.logits)
    yield from follow(sam2, clip, tracks)


def _prompt(language: Tensor, key_frames: Sequence[int], index: int) -> Tensor:
    """Return the embeddings [B, C] for a frame; if key frames have their own, those of the last key frame up to it."""
    if language.dim() == 2:
        return language
    return language[:, max(0, bisect_right(key_frames, index) - 1)]


@torch.inference_mode()
def follow(sam2: Sam2, clip: Clip, tracks: Sequence[Tracks]) -> Iterator[FrameLogits]:
    """Yield the masks of all frames in order: key frames as prompted, the others propagated from them.

    Frames before a track's first key frame are tracked backwards from it; their logits stay in memory until they are
    yielded, 0.26 MB per object and frame at full size. No other logits are kept.

    Raises:
        StoppedError: If this thread is cancelled, between two frames.
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
            masks = [logits for logits in found if logits is not None]
        else:
            features = sam2.encode(next(frames)[1])
            masks = [
                track.follow(index, features) if logits is None else logits
                for track, logits in zip(tracks, found, strict=True)
            ]
        yield FrameLogits(index, torch.cat(masks)[:, 0])
