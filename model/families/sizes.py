"""The sizes of a multimodal LLM, as a TOML file in configs/models sets them."""

from typing import Literal, Self

from pydantic import Field, model_validator

from refsav.config import Config

SHOWN_PIXELS = (512 * 28 * 28, 2048 * 28 * 28)
"""Smallest and largest area of a frame in pixels; source: the released inference code of the Qwen families."""


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
        """Width of an attention head."""
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
    """Sizes of the MLLM's vision tower. A family lists the keys that not all families have in `own_sizes`."""

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
        (5, 11, 17), description="Layers whose output is added to the language model's first layers (Qwen3-VL)."
    )
    window_px: int = Field(112, ge=28, description="Side of an attention window (Qwen2.5-VL).")
    full_attention: tuple[int, ...] = Field(
        (7, 15, 23, 31), description="Layers that attend to the entire image (Qwen2.5-VL)."
    )

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size ({self.hidden_size}) must be a multiple of heads ({self.heads})")
        return self


class MllmSizes(Config):
    """The sizes of a multimodal LLM, and the standard deviation of its random weights."""

    language: LanguageShape
    vision: VisionShape
    language_range: float = Field(0.02, gt=0, description="Standard deviation of the language model's weights.")
    vision_range: float = Field(0.02, gt=0, description="Standard deviation of the vision tower's weights.")

    def check_layers(self, key: str, layers: tuple[int, ...]) -> None:
        """Raise ValueError if `vision.KEY` names a layer that the vision tower does not have."""
        count = self.vision.layers
        if any(not 0 <= layer < count for layer in layers):
            raise ValueError(f"vision.{key} {list(layers)} names layers that vision.layers ({count}) lacks")
