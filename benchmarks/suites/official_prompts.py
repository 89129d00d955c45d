"""Prompts of the released evaluation scripts, and how they clean answers, verbatim: scores depend on both.

Source: bytedance/Sa2VA (9832e1a), projects/sa2va/evaluation; for regions magic-research/Sa2VA (d01bf3f),
projects/llava_sam2/evaluation. Prompts for all other uses: `model.language.inference_prompts`.
"""

import re

GROUNDED_CAPTION = (
    "<image>\nCould you please give me a brief description of the image? Please respond with interleaved     "  # five
    "segmentation masks for the corresponding parts of the answer."
)
"""The spaces come from a string that continues on the next line of the script."""

REGION = "<image>\nPlease give me a short description of the region in the picture marked by region1."


def segment(expression: str, *, video: bool) -> str:
    """Prompt for a mask. The expression stays unchanged, final full stop included; only videos have a question form."""
    if not video:
        return f"<image>\n Please segment {expression} in this image."
    if "?" in expression:
        return f"<image>\n {expression} Please respond with a segmentation mask."
    return f"<image>\nPlease segment {expression}."


def caption_of(answer: str) -> str:
    """Return a grounded caption without tags, as caption metrics score it."""
    return _without_marks(answer.replace("<s>", "").replace("\n", "").replace("  ", " "))


def phrases_of(answer: str) -> tuple[str, ...]:
    """Return the phrases between <p> and </p>, as recall compares them with the labels."""
    text = answer.replace("<s>", "").replace("\n", "").replace("  ", " ")
    return tuple(phrase.strip() for phrase in re.findall(r"<p>(.*?)</p>", text))


REMOVED = (
    *("region1", "Region1", "The region marked by", "The region marked as", "The region marked"),
    *("is", "shows", ":"),  # removes "is" inside words too, such as "this": the published scores were computed so
)


def region_caption_of(answer: str) -> str:
    """Return a region's description without the usual opening words, as caption metrics score it."""
    text = answer.replace("<s>", "").replace("\n", "")
    for removed in REMOVED:
        text = text.replace(removed, "")
    return _without_marks(text.replace("   ", " ").replace("  ", " "))


def _without_marks(text: str) -> str:
    plain = re.sub(r"<.*?>", "", text.split("ASSISTANT: ")[-1]).replace("[SEG]", "")
    return " ".join(plain.split()).strip("'").strip()
