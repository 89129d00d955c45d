"""The sizes of a SAM-2, from the released ones to pocket size, as settings for the `sam2` package."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from omegaconf import OmegaConf
from pydantic import Field, model_validator

from refsav.config import Config

PACKAGED = "configs/sam2/sam2_hiera_l.yaml"
"""SAM 2.0's configuration file; all settings that are not sizes (multimask output, object pointers …) come from it."""


class Sam2Config(Config):
    """Sizes of a SAM-2. The defaults are those of SAM 2.0 Hiera-L, which every released Sa2VA holds."""

    image_size: int = Field(1024, ge=64, description="Side of the square that a frame is resized to, in pixels.")
    embed_dim: int = Field(144, ge=8, description="Channels of the image encoder's first stage.")
    num_heads: int = Field(2, ge=1, description="Attention heads of the first stage; doubled from stage to stage.")
    stages: tuple[int, int, int, int] = Field((2, 6, 36, 4), description="Blocks of the four stages.")
    global_att_blocks: tuple[int, ...] = Field((23, 33, 43), description="Blocks that attend to the entire frame.")
    window_spec: tuple[int, int, int, int] = Field((8, 4, 16, 8), description="Attention windows, in cells a side.")
    window_pos_embed_bkg_spatial_size: tuple[int, int] = Field((7, 7), description="Size of the position table.")
    d_model: int = Field(256, ge=32, description="Channels of prompts, features and object pointers.")
    mem_dim: int = Field(64, ge=16, description="Channels of a memory; d_model must be a multiple of it.")
    memory_layers: int = Field(4, ge=1, description="Layers of memory attention.")
    memory_feedforward: int = Field(2048, ge=16, description="Width of the feed-forward networks of memory attention.")
    multimask: bool = Field(
        True, description="Propose three masks and keep the best by predicted IoU; off suits a model from scratch."
    )
    layer_scale: float = Field(1e-6, gt=0, description="First value of the memory encoder's layer scale.")

    @model_validator(mode="after")
    def _sizes_fit(self) -> "Sam2Config":
        if self.d_model % self.mem_dim:
            raise ValueError(f"d_model ({self.d_model}) must be a multiple of mem_dim ({self.mem_dim})")
        if self.image_size % 32:
            raise ValueError(f"image_size ({self.image_size}) must be a multiple of 32")
        return self

    @property
    def feature_size(self) -> int:
        """Side of the feature map that masks are decoded from, in cells of 16 × 16 pixels."""
        return self.image_size // 16

    @property
    def mask_size(self) -> int:
        """Side of the low-resolution mask logits, in pixels."""
        return self.image_size // 4

    def packaged_settings(self) -> Mapping[str, Any]:
        """Return the package's settings with these sizes, for `hydra.utils.instantiate`."""
        settings = OmegaConf.select(OmegaConf.create((files("sam2") / PACKAGED).read_text()), "model")
        widths = [self.embed_dim * 2**stage for stage in (3, 2, 1, 0)]
        attention = {
            "embedding_dim": self.d_model,
            "feat_sizes": [self.feature_size, self.feature_size],
        }
        sizes = {
            "image_size": self.image_size,
            "multimask_output_in_sam": self.multimask,
            "binarize_mask_from_pts_for_mem_enc": True,  # for prompts of a person, as in SAM-2's video predictor
            "image_encoder": {
                "trunk": {
                    "embed_dim": self.embed_dim,
                    "num_heads": self.num_heads,
                    "stages": list(self.stages),
                    "global_att_blocks": list(self.global_att_blocks),
                    "window_spec": list(self.window_spec),
                    "window_pos_embed_bkg_spatial_size": list(self.window_pos_embed_bkg_spatial_size),
                },
                "neck": {
                    "d_model": self.d_model,
                    "backbone_channel_list": widths,
                    "position_encoding": {"num_pos_feats": self.d_model},
                },
            },
            "memory_attention": {
                "d_model": self.d_model,
                "num_layers": self.memory_layers,
                "layer": {
                    "d_model": self.d_model,
                    "dim_feedforward": self.memory_feedforward,
                    "self_attention": attention,
                    "cross_attention": {**attention, "kv_in_dim": self.mem_dim},
                },
            },
            "memory_encoder": {
                "in_dim": self.d_model,
                "out_dim": self.mem_dim,
                "position_encoding": {"num_pos_feats": self.mem_dim},
                "mask_downsampler": {"embed_dim": self.d_model},
                "fuser": {"layer": {"dim": self.d_model, "layer_scale_init_value": self.layer_scale}},
            },
        }
        merged: Any = OmegaConf.to_container(OmegaConf.merge(settings, sizes), resolve=True)
        return dict(merged)
