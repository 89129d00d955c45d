"""What the released evaluation scripts ask, and how they clean answers, to the letter: figures depend on it.

Source: bytedance/Sa2VA (9832e1a), projects/sa2va/evaluation; for regions magic-research/Sa2VA (d01bf3f),
projects/llava_sam2/evaluation. `model.prompts` has the wordings for everything else.
"""

import re

GROUNDED_CAPTION = (
    "<image>\nCould you please give me a brief description of the image? Please respond with interleaved     "  # five
    "segmentation masks for the corresponding parts of the answer."
)
"""The spaces come from a string that goes on in the next line of the script."""

REGION = "<image>\nPlease give me a short description of the region in the picture marked by region1."


def segment(expression: str, *, video: bool) -> str:
    """Ask for a mask: the expression stays as it is, a full stop at its end included; only videos know questions."""
    if not video:
        return f"<image>\n Please segment {expression} in this image."
    if "?" in expression:
        return f"<image>\n {expression} Please respond with a segmentation mask."
    return f"<image>\nPlease segment {expression}."


def caption_of(answer: str) -> str:
    """A grounded caption without its marks, as its words are scored."""
    return _without_marks(answer.replace("<s>", "").replace("\n", "").replace("  ", " "))


def phrases_of(answer: str) -> tuple[str, ...]:
    """What stands between <p> and </p>, as it is compared with the labels."""
    text = answer.replace("<s>", "").replace("\n", "").replace("  ", " ")
    return tuple(phrase.strip() for phrase in re.findall(r"<p>(.*?)</p>", text))


REMOVED = (
    *("region1", "Region1", "The region marked by", "The region marked as", "The region marked"),
    *("is", "shows", ":"),  # "is" out of every word that has it, "this" among them: so the published figures came about
)


def region_caption_of(answer: str) -> str:
    """A region's description without what all of them begin with, as its words are scored."""
    text = answer.replace("<s>", "").replace("\n", "")
    for removed in REMOVED:
        text = text.replace(removed, "")
    return _without_marks(text.replace("   ", " ").replace("  ", " "))


def _without_marks(text: str) -> str:
    plain = re.sub(r"<.*?>", "", text.split("ASSISTANT: ")[-1]).replace("[SEG]", "")
    return " ".join(plain.split()).strip("'").strip()
