"""Caption suites: grounded captions (GCG on GranD-f), and captions of marked regions (RefCOCOg)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from refsav.benchmarks.metrics.captions import CaptionPair, TokenizerName, cider, meteor, tokenized
from refsav.benchmarks.metrics.gcg import GroundedCaption, GroundedImage, Similarity, average_precision_50, image_score
from refsav.benchmarks.suites import official_prompts
from refsav.benchmarks.suites.answerer import Answerer
from refsav.benchmarks.suites.image_suites import open_picture
from refsav.benchmarks.suites.options import SuiteOptions
from refsav.benchmarks.suites.row_schema import row_kind
from refsav.benchmarks.suites.suite import Suite, Summary
from refsav.datasets.external.coco_segmentation import empty
from refsav.datasets.external.gcg import CaptionedImage, GcgSet, open_gcg
from refsav.datasets.external.region_captions import CaptionedRegion, open_region_captions
from refsav.datasets.masks import decode
from refsav.datasets.records import Rle
from refsav.errors import RecordError
from refsav.model.media.clip import open_clip


@dataclass(frozen=True, kw_only=True, slots=True)
class GcgRow:
    """One image with the model's grounded caption."""

    number: int
    image_id: str
    caption: str
    """Without tags, as it is scored."""
    answer: str
    phrases: tuple[str, ...]
    miou: float
    """Fraction 0-1."""
    recalled: int
    """Number of labels that were found; 0 if there is no BERT to compare them."""
    labels: int
    height: int
    width: int
    masks: tuple[str, ...]
    """`counts` of the COCO RLEs, one per `[SEG]`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionRow:
    """One region with the model's caption."""

    number: int
    region_id: str
    caption: str
    """As it is scored."""
    answer: str
    reference: str


GCG_ROWS = row_kind(GcgRow)
REGION_ROWS = row_kind(RegionRow)


def open_gcg_suite(name: str, folder: Path, options: SuiteOptions) -> Suite[CaptionedImage, GcgRow]:
    """Open gcg-val or gcg-test: GranD-f's validation or test set. Without a BERT, there is no recall.

    Raises:
        RecordError: If the folder is not as the dataset is published.
        RefSavError: If captions cannot be scored on this machine.
    """
    similarity = None
    if options.bert:
        from refsav.benchmarks.metrics.text_similarity import BertSimilarity  # importing transformers takes seconds

        similarity = BertSimilarity.from_folder(options.bert)
    return gcg_suite(name, folder, options, similarity)


def gcg_suite(
    name: str, folder: Path, options: SuiteOptions, similarity: Similarity | None
) -> Suite[CaptionedImage, GcgRow]:
    """Open gcg-val or gcg-test with another measure of how similar two phrases are.

    Args:
        name: gcg-val or gcg-test.
        folder: GranD-f as it is published.
        options: `images` and `tokenizer` are used.
        similarity: Compares phrases with labels, at most 1; None: no recall.

    Raises:
        RecordError: If the folder is not as the dataset is published.
        RefSavError: If captions cannot be scored on this machine.
    """
    dataset, tokenizer = open_gcg(folder, name.removeprefix("gcg-"), images=options.images), options.tokenizer
    recall = "official: pairs by overlap until the first that fails" if similarity else "left out, without a BERT"
    return Suite(
        name=name,
        protocol=f"{_words(tokenizer)}; AP50 with all scores 1; mIoU of pairs by overlap; recall {recall}",
        dataset=dataset,
        measure=partial(_measure_image, similarity),
        rows=GCG_ROWS,
        summarize=partial(_summarize_images, dataset, similarity is not None, tokenizer),
        bulky=frozenset({"height", "width", "masks"}),
    )


def open_region_suite(name: str, folder: Path, options: SuiteOptions) -> Suite[CaptionedRegion, RegionRow]:
    """Open region-captions: RefCOCOg's validation regions.

    Raises:
        RecordError: If the folder is not as the dataset is published.
        RefSavError: If captions cannot be scored on this machine.
    """
    return Suite(
        name=name,
        protocol=f"{_words(options.tokenizer)}; one reference a region; answers cleaned as Sa2VA's script does",
        dataset=open_region_captions(folder, images=options.images),
        measure=_measure_region,
        rows=REGION_ROWS,
        summarize=partial(_summarize_regions, options.tokenizer),
    )


def _words(tokenizer: TokenizerName) -> str:
    """Check that captions can be scored before hours of inference; return how they are scored."""
    _figures_of([CaptionPair(name="trial", references=("a trial",), found="a trial")], tokenizer)
    return "METEOR 1.5 and CIDEr (pycocoevalcap)" if tokenizer == "ptb" else "CIDEr with a tokenizer of our own"


def _measure_image(similarity: Similarity | None, answerer: Answerer, image: CaptionedImage) -> list[GcgRow]:
    clip = open_clip(image.image)
    size = (clip.height, clip.width)
    if any(mask.size != size for mask in image.masks):
        problem = f"is {size[0]}x{size[1]}, its masks {image.masks[0].size[0]}x{image.masks[0].size[1]}"
        raise RecordError(image.image, "", f"{problem} (height x width)", "use GranD-f's own images")
    (answer,) = answerer.ask(clip, [official_prompts.GROUNDED_CAPTION])
    drawn = [mask for (mask,) in answer.masks]
    found = GroundedCaption(
        caption=official_prompts.caption_of(answer.text),
        phrases=official_prompts.phrases_of(answer.text),
        masks=tuple(mask or empty(size) for mask in drawn),
    )
    score = image_score(
        GroundedImage(image_id=image.image_id, truth=_truth(image), found=found), similarity or _never, "official"
    )
    return [
        GcgRow(
            number=0,
            image_id=image.image_id,
            caption=found.caption,
            answer=answer.text,
            phrases=found.phrases,
            miou=score.miou,
            recalled=score.recalled,
            labels=score.phrases,
            height=size[0],
            width=size[1],
            masks=tuple(mask.counts for mask in found.masks),
        )
    ]


def _never(_one: str, _other: str) -> float:
    return 0.0


def _truth(image: CaptionedImage) -> GroundedCaption:
    return GroundedCaption(caption=image.caption, phrases=image.labels, masks=image.masks)


def _summarize_images(dataset: GcgSet, with_recall: bool, tokenizer: TokenizerName, rows: Iterator[GcgRow]) -> Summary:
    place_of = {image_id: place for place, image_id in enumerate(dataset.ids)}
    listed, images, pairs = list(rows), [], []
    for row in listed:
        truth = _truth(dataset.read(place_of[row.image_id]))
        masks = tuple(Rle((row.height, row.width), counts) for counts in row.masks)
        found = GroundedCaption(caption=row.caption, phrases=row.phrases, masks=masks)
        images.append(GroundedImage(image_id=row.image_id, truth=truth, found=found))
        pairs.append(CaptionPair(name=row.image_id, references=(truth.caption,), found=row.caption))
    words = _figures_of(pairs, tokenizer)
    labels = sum(row.labels for row in listed)
    recall = {"recall": 100 * sum(row.recalled for row in listed) / labels} if with_recall and labels else {}
    ap50 = {"AP50": 100 * average_precision_50(images)} if any(image.truth.masks for image in images) else {}
    miou = {"mIoU": 100 * sum(row.miou for row in listed) / len(listed)}
    figures = {**words.scores["overall"], **ap50, **miou, **recall}
    return Summary(scores={"overall": figures}, per_row=words.per_row)


def _measure_region(answerer: Answerer, one: CaptionedRegion) -> list[RegionRow]:
    clip = open_picture(one.image, one.size)
    (answer,) = answerer.ask(clip, [official_prompts.REGION], regions=[decode(one.region)])
    caption = official_prompts.region_caption_of(answer.text)
    return [RegionRow(number=0, region_id=one.region_id, caption=caption, answer=answer.text, reference=one.caption)]


def _summarize_regions(tokenizer: TokenizerName, rows: Iterator[RegionRow]) -> Summary:
    pairs = [CaptionPair(name=row.region_id, references=(row.reference,), found=row.caption) for row in rows]
    return _figures_of(pairs, tokenizer)


def _figures_of(pairs: Sequence[CaptionPair], tokenizer: TokenizerName) -> Summary:
    """Compute METEOR and CIDEr as papers print them: 100 times the metric's own value."""
    words = tokenized(pairs, tokenizer)
    found = [cider(words)] if tokenizer == "plain" else [meteor(words), cider(words)]
    return Summary(
        scores={"overall": {one.metric: 100 * one.score for one in found}},
        per_row={one.metric: [100 * one.per_caption[pair.name] for pair in pairs] for one in found},
    )
