"""Wordings of prompts that released checkpoints were trained and evaluated with."""

GROUNDED_CAPTION = (
    "<image>\nCould you please give me a detailed description of the image? Please respond with interleaved "
    "segmentation masks for the corresponding parts of the answer."
)
CAPTION = "<image>\nPlease describe the {} in detail."
REGION = "<image>\nCan you provide me with a detailed description of the region in the picture marked by region{}?"


def segment(expression: str, *, video: bool) -> str:
    """Ask for the mask of what an expression names; a question is answered with a mask."""
    named = expression.strip().rstrip(".")
    if "?" in named:
        return f"<image>\n {named} Please respond with a segmentation mask."
    return f"<image>\nPlease segment {named}." if video else f"<image>\n Please segment {named} in this image."


def caption(*, video: bool) -> str:
    """Ask for a description in words alone."""
    return CAPTION.format("video" if video else "image")


def region(number: int) -> str:
    """Ask what a marked region is; regions count from 1."""
    return REGION.format(number)
