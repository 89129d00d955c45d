"""The parts of a Sa2VA: its modules, its tokenizer and the files that are saved with it."""

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
    """The modules of a Sa2VA of any family and size, with tokenizer and files.

    Submodules: `mllm` (transformers' model), `sam2`, `text_hidden_fcs` (projects the hidden states of `[SEG]` tokens)
    and, if available, `original_decoder` (SAM-2's mask decoder before fine-tuning).
    """

    def __init__(self, architecture: Architecture, *, original_decoder: bool) -> None:
        """Create the modules with random weights."""
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
        """Set the tokenizer and the files that are saved with the model; return the model in evaluation mode."""
        self.adapter: Mllm = self.architecture.adapter(self.mllm, tokenizer)
        self.assets = assets
        return self.eval()

    def compile(self, *args: object, **kwargs: object) -> None:
        """Compile SAM-2's image encoder, whose shapes never change; arguments are passed to `torch.compile`.

        The first frame then takes about a minute, later frames less time than before.
        """
        self.sam2.image_encoder.compile(*args, **kwargs)

    def to_devices(self, placement: Placement) -> None:
        """Move computed buffers to the devices of the weights."""
        if isinstance(placement.device_map, Mapping):
            dispatch_model(self, dict(placement.device_map))
        else:
            self.to(placement.device)
