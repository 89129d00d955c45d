"""The parts that a Sa2VA is made of: modules, tokenizer, files."""

from collections.abc import Mapping
from typing import Self

from accelerate import dispatch_model
from torch import nn

from refsav.model.checkpoints.architecture import Architecture
from refsav.model.checkpoints.checkpoint import Assets
from refsav.model.checkpoints.device_map import Placement
from refsav.model.families.mllm import Mllm, Tokenizer
from refsav.model.sam.grounding import Sam2


class Sa2VAModules(nn.Module):
    """The weights of a Sa2VA of any family and size, with tokenizer and files.

    Children: `mllm` (transformers' model), `sam2`, `text_hidden_fcs` (the projection of `[SEG]` states) and, where
    it is at hand, `original_decoder` (SAM-2's mask decoder as it was before fine-tuning).
    """

    def __init__(self, architecture: Architecture, *, original_decoder: bool) -> None:
        """Make a model with random weights."""
        super().__init__()
        self.architecture = architecture
        self.mllm = architecture.build_mllm()
        self.sam2 = Sam2.build(architecture.sam2)
        hidden = architecture.hidden_size(self.mllm)
        projected = architecture.sam2.d_model
        self.text_hidden_fcs = nn.Sequential(
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, projected), nn.Dropout(0.0)
        )
        self.original_decoder: nn.Module | None = None
        if original_decoder:
            self.original_decoder = Sam2.build(architecture.sam2).sam_mask_decoder

    def attach_tokenizer(self, tokenizer: Tokenizer, assets: Assets) -> Self:
        """Give the model its tokenizer and the files that are saved with it."""
        self.adapter: Mllm = self.architecture.adapter(self.mllm, tokenizer)
        self.assets = assets
        return self.eval()

    def compile(self, *args: object, **kwargs: object) -> None:
        """Compile the image encoder, whose shapes never change: the first frame takes a minute, the others less.

        What is given goes to `torch.compile`.
        """
        self.sam2.image_encoder.compile(*args, **kwargs)

    def to_devices(self, placement: Placement) -> None:
        """Finish placing: buffers that are computed follow the weights."""
        if isinstance(placement.device_map, Mapping):
            dispatch_model(self, dict(placement.device_map))
        else:
            self.to(placement.device)
