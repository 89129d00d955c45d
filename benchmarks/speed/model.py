"""Speed of Sa2VA: many expressions in one call or in one each, memory by video length, a plain loop and ours.

The part that is measured is SAM-2 (Hiera-L at 1024 pixels). Its weights are random; time does not depend on them.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from refsav.benchmarks.speed.ratios import Bar, Measurement, Quantity, Ratio
from refsav.datasets.frames import Image
from refsav.model.inference_settings import Propagation
from refsav.model.media.clip import as_clip
from refsav.model.sam.config import Sam2Config
from refsav.model.sam.grounding import FrameFeatures, Sam2
from refsav.model.sam.propagation import segment

EXPRESSIONS, FRAMES, KEY_FRAMES = 8, 16, 5
SHORT, LONG = 20, 200
SIZE = (96, 128)
SAME_PIXELS = 0.999


def measure_model(rounds: int = 1, *, singles: int = 2) -> Measurement:
    """Time eight expressions together and one by one, with official propagation and with every frame a key frame.

    A single call takes the same time for every expression, so `singles` of the eight are timed in a round and
    represent all.
    """
    sam2 = Sam2.build(Sam2Config())
    frames = made_frames(FRAMES)
    language = torch.randn(EXPRESSIONS, sam2.hidden_dim, generator=torch.Generator().manual_seed(0))
    quantities: list[Quantity] = []
    ratios: list[Ratio] = []
    for propagation, bar in (("official", 2.5), ("none", 6.0)):
        together: list[float] = []
        alone: list[float] = []
        for number in range(rounds):
            run = partial(masks_of, sam2, frames, propagation=cast(Propagation, propagation))
            seconds, all_masks = timed(partial(run, language))
            together.append(seconds)
            chosen = [(number * singles + place) % EXPRESSIONS for place in range(singles)]
            spent = 0.0
            for one in chosen:
                seconds, mask = timed(partial(run, language[one : one + 1]))
                spent += seconds
                check_same(all_masks[:, one], mask[:, 0])
            alone.append(spent / singles * EXPRESSIONS)
        over = Quantity(name=f"{propagation}: one by one, all 8", unit="s", rounds=tuple(alone))
        under = Quantity(name=f"{propagation}: together", unit="s", rounds=tuple(together))
        quantities += [over, under]
        ratios.append(Ratio.of(f"{propagation}: 8 calls / one call", over, under, Bar("at least", bar)))
    plain = compare_with_plain(sam2, frames, language[:1], rounds)
    return Measurement(
        title=f"model: {EXPRESSIONS} expressions, {FRAMES} frames, SAM-2 Hiera-L, {torch.get_num_threads()} threads",
        quantities=(*quantities, *plain.quantities),
        ratios=(*ratios, *plain.ratios),
        notes=(
            f"{singles} of the 8 single calls are timed in a round; their masks agree with those of the one call "
            f"in at least {SAME_PIXELS:.1%} of the pixels",
        ),
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """Times of two ways to the same masks."""

    quantities: tuple[Quantity, ...]
    ratios: tuple[Ratio, ...]


def compare_with_plain(sam2: Sam2, frames: Sequence[Image], language: Tensor, rounds: int) -> Compared:
    """Time one object with ours and with a plain loop over the same modules."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        works: list[tuple[list[float], Callable[[], Tensor]]] = [
            (ours, partial(masks_of, sam2, frames, language, propagation="official")),
            (theirs, partial(plain_masks, sam2, frames, language)),
        ]
        found = []
        for taken, work in works[:: -1 if number % 2 else 1]:
            seconds, masks = timed(work)
            taken.append(seconds)
            found.append(masks)
        check_same(found[0][:, 0], found[1][:, 0])
    one = Quantity(name="official, one object: ours", unit="s", rounds=tuple(ours))
    loop = Quantity(name="official, one object: plain loop", unit="s", rounds=tuple(theirs))
    return Compared(
        (one, loop), (Ratio.of("one object: ours / a plain loop over the modules", one, loop, Bar("at most", 1.05)),)
    )


@torch.inference_mode()
def plain_masks(sam2: Sam2, frames: Sequence[Image], language: Tensor) -> Tensor:
    """Return logits [T, 1, S/4, S/4] by SAM-2's own steps, in a plain loop that keeps all memories."""
    bank: dict[str, dict[int, dict[str, Tensor | list[Tensor]]]] = {
        "cond_frame_outputs": {},
        "non_cond_frame_outputs": {},
    }
    found = []
    for index, frame in enumerate(frames):
        output = sam2.image_encoder(sam2.pixels(frame))
        _, levels, positions, sizes = sam2._prepare_backbone_features(output)
        first = index < KEY_FRAMES
        conditioned = sam2._prepare_memory_conditioned_features(
            index, first, levels[-1:], positions[-1:], sizes[-1:], bank, len(frames)
        )
        fine, middle, coarse = output["backbone_fpn"]
        features = FrameFeatures(fine, middle, coarse, output["vision_pos_enc"][-1])
        decoded = sam2.decode(features, language) if first else sam2.follow(conditioned, features)
        memory, position = sam2._encode_new_memory(
            levels[-1:], sizes[-1:], sam2.to_image_size(decoded.logits), decoded.score, is_mask_from_pts=False
        )
        bank["cond_frame_outputs" if first else "non_cond_frame_outputs"][index] = {
            "maskmem_features": memory.bfloat16(),
            "maskmem_pos_enc": position,
            "obj_ptr": decoded.pointer,
        }
        found.append(decoded.logits[:, 0])
    return torch.stack(found)


def masks_of(sam2: Sam2, frames: Sequence[Image], language: Tensor, *, propagation: Propagation) -> Tensor:
    """Return logits [T, B, S/4, S/4] of B objects."""
    keys = list(range(KEY_FRAMES))
    return torch.stack([found.logits for found in segment(sam2, as_clip(frames), language, keys, propagation)])


def measure_memory(*, image_size: int = 512) -> Measurement:
    """Measure the peak memory for a long and a short video, each in its own process."""
    peaks = {count: peak_of(count, image_size) for count in (SHORT, LONG)}
    long, short = (Quantity(name=f"peak, {count} frames", unit="MB", rounds=(peaks[count],)) for count in (LONG, SHORT))
    return Measurement(
        title=f"memory: one object, SAM-2 Hiera-L at {image_size} pixels, official propagation",
        quantities=(long, short),
        ratios=(Ratio.of(f"peak memory, {LONG} frames / {SHORT}", long, short, Bar("at most", 1.3)),),
    )


def peak_of(frame_count: int, image_size: int) -> float:
    """Return the peak resident memory, in MB, of a process that segments a video and keeps masks as public calls do."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report_peak, args=(sender, frame_count, image_size))
    process.start()
    sender.close()
    peak: float = receiver.recv()
    process.join()
    return peak


def _report_peak(sender: "multiprocessing.connection.Connection", frame_count: int, image_size: int) -> None:
    sam2 = Sam2.build(Sam2Config(image_size=image_size))
    language = torch.randn(1, sam2.hidden_dim, generator=torch.Generator().manual_seed(0))
    masks_of(sam2, made_frames(frame_count), language, propagation="official")
    sender.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def made_frames(count: int) -> list[Image]:
    """Return frames, uint8 [96, 128, 3], with a moving square."""
    noise = np.random.default_rng(0).integers(0, 60, (*SIZE, 3), dtype=np.uint8)
    frames = []
    for index in range(count):
        frame = noise.copy()
        left = 5 * index % (SIZE[1] - 30)
        frame[30:60, left : left + 30] = 220
        frames.append(frame)
    return frames


def check_same(found: Tensor, other: Tensor) -> None:
    """Check that both ways give the same masks; their times are comparable only then."""
    share = float(((found > 0) == (other > 0)).float().mean())
    if share < SAME_PIXELS:
        raise AssertionError(f"only {share:.2%} of the mask's pixels agree: these times compare different things")


def timed(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Return the seconds that a call takes, and its result."""
    begun = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun, result
