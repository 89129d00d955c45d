"""The sizes of a Sa2VA that is made from nothing, and how its random weights begin."""

from math import isqrt
from typing import Literal, Self

from pydantic import Field, model_validator

from refsav.config import Config
from refsav.model.families.qwen import SHOWN_PIXELS
from refsav.model.sam.config import Sam2Config

Family = Literal["Qwen3-VL", "Qwen2.5-VL", "InternVL"]

ONE_FAMILY: dict[str, Family] = {
    "language.kind": "InternVL",
    "vision.tile_px": "InternVL",
    "vision.most_tiles": "InternVL",
    "vision.norm": "InternVL",
    "vision.qkv_bias": "InternVL",
    "vision.qk_norm": "InternVL",
    "vision.positions": "Qwen3-VL",
    "vision.deepstack": "Qwen3-VL",
    "vision.window_px": "Qwen2.5-VL",
    "vision.full_attention": "Qwen2.5-VL",
}
"""Keys that mean nothing to the other families, and are refused there."""


class LanguageShape(Config):
    """Sizes of the language model."""

    kind: Literal["qwen2", "qwen3", "llama", "internlm2", "phi3"] = Field(
        "qwen2", description="Kind of language model (InternVL; each Qwen-VL has its own)."
    )
    hidden_size: int = Field(ge=8, description="Width of hidden states.")
    layers: int = Field(ge=1, description="Decoder layers.")
    heads: int = Field(ge=1, description="Query heads of a layer.")
    kv_heads: int = Field(ge=1, description="Key-value heads of a layer; heads must be a multiple of it.")
    head_dim: int = Field(0, ge=0, description="Width of a head; 0 for hidden_size / heads.")
    feedforward: int = Field(ge=8, description="Width of the feed-forward networks.")
    vocabulary: int = Field(0, ge=0, description="Rows of the embedding; 0 for as many as the tokenizer has tokens.")
    context_tokens: int = Field(32768, ge=256, description="Longest prompt with its answer.")
    rope_theta: float = Field(1e6, gt=0, description="Base of the rotary positions.")
    norm_eps: float = Field(1e-6, gt=0, description="Epsilon of the normalizations.")

    @property
    def width_of_head(self) -> int:
        """Width of a head."""
        return self.head_dim or self.hidden_size // self.heads

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if not self.head_dim and self.hidden_size % self.heads:
            raise ValueError(f"hidden_size ({self.hidden_size}) must be a multiple of heads ({self.heads})")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        if self.width_of_head % 2:
            raise ValueError(f"a head is {self.width_of_head} wide, which must be even")
        return self


class VisionShape(Config):
    """Sizes of the MLLM's vision tower."""

    hidden_size: int = Field(ge=8, description="Width of hidden states.")
    layers: int = Field(ge=1, description="Layers.")
    heads: int = Field(ge=1, description="Attention heads of a layer.")
    feedforward: int = Field(ge=8, description="Width of the feed-forward networks.")
    patch_px: int = Field(14, ge=2, description="Side of a patch; 2 x 2 of them make one token.")
    tile_px: int = Field(448, ge=28, description="Side of a tile (InternVL).")
    most_tiles: int = Field(12, ge=1, description="Most tiles of an image, its thumbnail not counted (InternVL).")
    norm: Literal["layer_norm", "rms_norm"] = Field("layer_norm", description="Kind of normalization (InternVL).")
    qkv_bias: bool = Field(True, description="Whether queries, keys and values have a bias (InternVL).")
    qk_norm: bool = Field(False, description="Whether queries and keys are normalized (InternVL).")
    positions: int = Field(2304, ge=4, description="Learned positions, a square number (Qwen3-VL).")
    deepstack: tuple[int, ...] = Field(
        (5, 11, 17), description="Layers whose output the language model's first layers get too (Qwen3-VL)."
    )
    window_px: int = Field(112, ge=28, description="Side of an attention window (Qwen2.5-VL).")
    full_attention: tuple[int, ...] = Field(
        (7, 15, 23, 31), description="Layers that attend to the whole picture (Qwen2.5-VL)."
    )

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size ({self.hidden_size}) must be a multiple of heads ({self.heads})")
        return self


class Beginning(Config):
    """How random weights begin. The defaults let a model learn from nothing to name objects to SAM-2."""

    language_range: float = Field(0.02, gt=0, description="Standard deviation of the language model's weights.")
    vision_range: float = Field(0.02, gt=0, description="Standard deviation of the vision tower's weights.")
    prompt_gain: float = Field(
        6.0, gt=0, description="Factor on the last weight behind [SEG]: SAM-2's own prompts are as large as N(0, 1)."
    )
    mask_gain: float = Field(
        2.45,
        gt=0,
        description="Factor on the weights that turn SAM-2's tokens into masks: as torch begins them, next to nothing "
        "of a prompt comes through. √6 makes them He's for layers with ReLU (arXiv 1502.01852).",
    )
    visible_logit: float = Field(
        10.0, description="First score of every object being in the frame: no loss on masks teaches it."
    )


class ModelConfig(Config):
    """A Sa2VA from nothing: its family, the sizes of its parts, its first weights."""

    family: Family = Field(description="Family of the multimodal LLM.")
    language: LanguageShape
    vision: VisionShape
    sam2: Sam2Config = Sam2Config()
    shown_pixels: tuple[int, int] = Field(
        SHOWN_PIXELS, description="Bounds of a frame's area as the vision tower sees it, in pixels (Qwen)."
    )
    tokenizer_size: int = Field(1024, ge=300, description="Most tokens of the tokenizer that is made for it.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Type of the weights.")
    begin: Beginning = Beginning()

    @model_validator(mode="after")
    def _of_one_family(self) -> Self:
        given = [f"{part}.{key}" for part in ("language", "vision") for key in getattr(self, part).model_fields_set]
        for key in sorted(given):
            family = ONE_FAMILY.get(key, self.family)
            if family != self.family:
                raise ValueError(f"{key} is a key of {family}, not of {self.family}")
        if self.family == "InternVL" and "shown_pixels" in self.model_fields_set:
            raise ValueError("shown_pixels is a key of Qwen's families; InternVL has vision.tile_px")
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        vision = self.vision
        if self.family == "InternVL":
            if vision.tile_px % (2 * vision.patch_px):
                raise ValueError(f"vision.tile_px ({vision.tile_px}) must be a multiple of 2 * vision.patch_px")
            return self
        if vision.hidden_size // vision.heads % 4:
            raise ValueError("vision.hidden_size / vision.heads must be a multiple of 4")
        key, layers = ("deepstack", vision.deepstack)
        if self.family == "Qwen2.5-VL":
            key, layers = ("full_attention", vision.full_attention)
            if self.language.head_dim:
                raise ValueError(f"language.head_dim is {self.family}'s hidden_size / heads: leave it out")
        elif isqrt(vision.positions) ** 2 != vision.positions:
            raise ValueError(f"vision.positions ({vision.positions}) must be a square number")
        if any(not 0 <= layer < vision.layers for layer in layers):
            raise ValueError(f"vision.{key} {list(layers)} names layers that vision.layers ({vision.layers}) lacks")
        return self
