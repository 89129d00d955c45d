"""Masks as COCO run-length encoding."""

from refsav.datasets.masks import decode as decode_mask
from refsav.datasets.masks import encode as encode_mask

__all__ = ["decode_mask", "encode_mask"]
