"""The parts that a Sa2VA is made of, and their way from and to a checkpoint's directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import torch
from accelerate import dispatch_model
from torch import nn

from refsav.model.checkpoints.architecture import Architecture
from refsav.model.checkpoints.checkpoint import Assets, load_weights, read_sam2, save_weights
from refsav.model.checkpoints.device_map import Placement, choose_attention, empty
from refsav.model.checkpoints.key_names import has_two_decoders
from refsav.model.checkpoints.tokenizer_files import read_tokenizer
from refsav.model.checkpoints.weights import StoredTensors
from refsav.model.families.mllm import Mllm, Tokenizer
from refsav.model.sam.grounding import Sam2


class Assembly(nn.Module):
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

    def equip(self, tokenizer: Tokenizer, assets: Assets) -> Self:
        """Give the model its tokenizer and the files that are saved with it."""
        self.adapter: Mllm = self.architecture.adapter(self.mllm, tokenizer)
        self.assets = assets
        return self.eval()

    @classmethod
    def from_pretrained(
        cls,
        directory: str | Path,
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype | str | None = None,
        device_map: Mapping[str, str | int] | Literal["auto"] | None = None,
        attention: str = "sdpa",
        original_sam2: str | Path | None = None,
        allow_pickle: bool = False,
    ) -> Self:
        """Read a checkpoint: an official Hugging Face directory (no code in it is run) or one of ours.

        Args:
            directory: With config.json, tokenizer files and safetensors.
            device: "cuda" where there is one, else "cpu".
            dtype: bfloat16 on a GPU, else float32; "stored" keeps what the files have.
            device_map: Devices by parts of the model, for models that one GPU cannot hold; "auto" lets accelerate
                spread it over all that there are.
            attention: Of the language model, as transformers names it: "sdpa", or "flash_attention_2" if installed.
            original_sam2: SAM-2 checkpoint with Meta's names that `consistent` propagation takes its decoder from.
            allow_pickle: Whether `original_sam2` may be a .pt file; only tensors are read from it.

        Raises:
            RecordError: If a file is missing, damaged, or does not fit; keys are named.
        """
        directory = Path(directory)
        placement = Placement.of(device, dtype, device_map)
        architecture = Architecture.read(directory)
        tokenizer = read_tokenizer(directory)
        stored = StoredTensors.find(directory)
        decoder = read_sam2(Path(original_sam2), allow_pickle=allow_pickle) if original_sam2 else None
        both = has_two_decoders(stored.names)
        model = empty(lambda: cls(architecture, original_decoder=both or decoder is not None))
        placement = placement.spread(model)
        choose_attention(model.mllm, attention)
        model.equip(tokenizer, Assets.read(directory))  # before the weights are read: what does not fit is told at once
        load_weights(model, stored, architecture, placement, original_decoder=decoder)
        model.to_devices(placement)
        return model

    def save_pretrained(
        self,
        directory: str | Path,
        *,
        dtype: torch.dtype | None = None,
        state: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Write a directory that this class and the official code read: weights, configuration, tokenizer.

        Args:
            directory: Made if it is not there.
            dtype: Type to store weights in; None keeps theirs.
            state: Weights under our names in place of the model's own.

        Raises:
            DiskError: If it cannot be written.
        """
        self.assets.write(Path(directory))
        save_weights(state or self.state_dict(), Path(directory), self.architecture, dtype)

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
