"""Time of a suite with eight expressions of one video, compared with eight runs of one expression each.

What SAM-2 alone gains from processing all eight together is measured in the same rounds: a suite should gain as much.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch

from refsav.benchmarks.result import Setup
from refsav.benchmarks.sa2va_answerer import Sa2vaAnswerer
from refsav.benchmarks.speed.model import FRAMES, KEY_FRAMES, SAME_PIXELS, Compared, made_frames, masks_of, timed
from refsav.benchmarks.speed.ratios import Bar, Measurement, Quantity, Ratio
from refsav.benchmarks.suite_runner import BenchmarkDirectory, rows_of, run_suite
from refsav.benchmarks.suites.registry import open_suite
from refsav.benchmarks.suites.video_rows import ExpressionRow
from refsav.datasets.masks import Mask, decode, encode
from refsav.datasets.official.evaluation_export import EXPRESSIONS_FILE, FRAMES_FOLDER, MASKS_FILE
from refsav.datasets.records import Rle
from refsav.errors import RefSavError
from refsav.model.creation.create import create, usual_tokenizer
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.inference_settings import InferenceSettings, Propagation
from refsav.model.sa2va import Sa2VA
from refsav.model.sam.config import Sam2Config

SUITE = "ref-sav"
NEW_TOKENS = 2
"""The first `[SEG]` and a second one: the last token of an answer has no hidden state."""
COLOURS = ("red", "blue", "green", "white", "black", "pink", "cyan", "orange")
EXPRESSIONS = tuple(f"the {colour} thing" for colour in COLOURS)
SAM2 = Sam2Config(image_size=256)
"""Hiera-L at 256 pixels; at its usual 1024 pixels one round takes more than an hour on two cores."""

BARS: dict[Propagation, float] = {"official": 2.5, "none": 6.0}


def measure_evaluation(
    sizes: Path, work: Path, rounds: int = 1, *, singles: int = 2, sam2: Sam2Config = SAM2
) -> Measurement:
    """Run the Ref-SAV suite on one synthetic video, with all expressions together and one by one.

    Args:
        sizes: TOML file of a model's sizes.
        work: Folder for data and runs.
        rounds: Number of rounds.
        singles: Runs with one expression to time per round; they represent all eight.
        sam2: Configuration of SAM-2, in place of that in `sizes`.

    Raises:
        RefSavError: If both ways do not predict the same masks.
    """
    model = speaking_model(sizes, sam2)
    for name, asked in {"all": EXPRESSIONS, **{one: (one,) for one in EXPRESSIONS}}.items():
        write_video(work / "data" / name, made_frames(FRAMES), asked)
    run_timed(
        model, InferenceSettings(new_tokens=NEW_TOKENS), work / "data", work / "begun", EXPRESSIONS[0]
    )  # warm-up: slow imports
    compared = [compare(model, propagation, work, rounds, singles) for propagation in BARS]
    return Measurement(
        title=f"evaluation: {len(EXPRESSIONS)} expressions, {FRAMES} frames, SAM-2 at {sam2.image_size} pixels, "
        f"{torch.get_num_threads()} threads",
        quantities=tuple(quantity for one in compared for quantity in one.quantities),
        ratios=tuple(ratio for one in compared for ratio in one.ratios),
        notes=(f"{singles} of the 8 single runs are timed in a round; their masks agree with those of the one run",),
    )


def compare(model: Sa2VA, propagation: Propagation, work: Path, rounds: int, singles: int) -> Compared:
    """Time the suite both ways, and SAM-2 alone both ways."""
    settings = InferenceSettings(key_frames=f"first-{KEY_FRAMES}", propagation=propagation, new_tokens=NEW_TOKENS)
    frames, language = made_frames(FRAMES), torch.randn(len(EXPRESSIONS), model.sam2.hidden_dim)
    masks = partial(masks_of, model.sam2, frames, propagation=propagation)
    sides = ("suite, one by one", "suite, together", "SAM-2, one by one", "SAM-2, together")
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds):
        runs = work / f"{propagation}-{number}"
        places = [(number * singles + place) % len(EXPRESSIONS) for place in range(singles)]
        run = partial(run_timed, model, settings, work / "data", runs)
        taken["suite, together"].append(run("all"))
        alone = [run(EXPRESSIONS[place]) for place in places]
        taken["suite, one by one"].append(median(alone) * len(EXPRESSIONS))
        check_same(runs, [EXPRESSIONS[place] for place in places])
        taken["SAM-2, together"].append(timed(partial(masks, language))[0])
        alone = [timed(partial(masks, language[place : place + 1]))[0] for place in places]
        taken["SAM-2, one by one"].append(median(alone) * len(EXPRESSIONS))
    found = [Quantity(name=f"{propagation}: {side}", unit="s", rounds=tuple(taken[side])) for side in sides]
    suite = Ratio.of(f"{propagation}: 8 runs / one run", found[0], found[1], Bar("at least", BARS[propagation]))
    part = Ratio.of(f"{propagation}: SAM-2's part alone, 8 calls / one call", found[2], found[3])
    kept = tuple(ours / most for ours, most in zip(suite.rounds, part.rounds, strict=True))
    return Compared(tuple(found), (suite, part, Ratio(name=f"{propagation}: the first over the second", rounds=kept)))


def speaking_model(sizes: Path, sam2: Sam2Config) -> Sa2VA:
    """Create a model that always answers `[SEG]`. Its weights are random; time does not depend on them."""
    config = ModelConfig.from_toml(sizes).model_copy(update={"sam2": sam2})
    model = create(config, usual_tokenizer(config)).eval()
    model.sam2.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.data.fill_(5.0)  # every object counts as visible
    said = model.adapter.seg_id

    def say_seg(_: torch.nn.Module, __: object, scores: torch.Tensor) -> torch.Tensor:
        return scores + 1e4 * torch.nn.functional.one_hot(torch.tensor(said), scores.shape[-1])

    model.mllm.get_submodule("lm_head").register_forward_hook(say_seg)
    return model


def write_video(folder: Path, frames: Sequence[np.ndarray], expressions: Sequence[str]) -> None:
    """Write a dataset of one video in Ref-SAV's evaluation layout; all expressions have the masks of the square."""
    names = [f"{index:05d}" for index in range(len(frames))]
    images = folder / FRAMES_FOLDER / "made"
    images.mkdir(parents=True)
    for name, frame in zip(names, frames, strict=True):
        cv2.imwrite(str(images / f"{name}.jpg"), frame)
    masks = [encode(np.asarray(frame.min(axis=2) == frame.max(), np.bool_)) for frame in frames]
    height, width = frames[0].shape[:2]
    asked = {
        str(place): {"exp": text, "anno_id": [place], "obj_id": [place], "type_id": 0}
        for place, text in enumerate(expressions)
    }
    video = {"frames": names, "height": height, "width": width, "expressions": asked}
    encoded = [{"size": list(mask.size), "counts": mask.counts} for mask in masks]
    (folder / EXPRESSIONS_FILE).write_text(json.dumps({"videos": {"made": video}}))
    (folder / MASKS_FILE).write_text(json.dumps({str(place): encoded for place in range(len(expressions))}))


def run_timed(model: Sa2VA, settings: InferenceSettings, data: Path, runs: Path, name: str) -> float:
    """Return the seconds of a run of the suite, from opening the dataset to writing result.json."""

    def run() -> torch.Tensor:
        suite = open_suite(SUITE, data / name)
        setup = Setup.of(suite, len(suite.dataset), "made", "", settings.model_dump())
        run_suite(suite, Sa2vaAnswerer(model, settings), runs / name, setup)
        return torch.empty(0)

    return timed(run)[0]


def check_same(runs: Path, chosen: Sequence[str]) -> None:
    """Check that both ways predict the same masks; their times are comparable only then. Raises RefSavError."""
    together = {row.expression: row for row in _rows(runs / "all")}
    for one in chosen:
        (alone,) = _rows(runs / one)
        if not any(alone.masks):
            raise RefSavError(f"no mask was predicted for {one!r}: these times are of no masks")
        pairs = zip(_masks(together[one]), _masks(alone), strict=True)
        share = float(np.mean([np.mean(ours == theirs) for ours, theirs in pairs]))
        if share < SAME_PIXELS:
            raise RefSavError(f"only {share:.2%} of the pixels for {one!r} agree: these times compare different things")


def _rows(folder: Path) -> list[ExpressionRow]:
    suite = open_suite(SUITE, folder.parents[1] / "data" / folder.name)
    return list(rows_of(BenchmarkDirectory(folder), suite))


def _masks(row: ExpressionRow) -> list[Mask]:
    size = made_frames(1)[0].shape[:2]
    return [np.zeros(size, np.bool_) if counts is None else decode(Rle(size, counts)) for counts in row.masks]
