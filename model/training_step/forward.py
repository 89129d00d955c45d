"""The forward pass of training: conversations through the language model, their `[SEG]`s to masks, the losses.

Source: Sa2VA, section 3.4, equation 2: cross-entropy of the text, pixel cross-entropy and dice of the masks. Each frame
is decoded on its own from the `[SEG]` embedding, without SAM-2's memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from refsav.model.language.batched_forward import pad, run_batch, seg_states_of
from refsav.model.sa2va import Sa2VA
from refsav.model.sam.grounding import resized_logits
from refsav.model.training_step.example_encoding import EncodedExample
from refsav.model.training_step.losses import mask_losses, means, text_losses

LOSS_TERMS = ("text", "pixels", "dice")
"""Terms of the loss, in the order of the columns of `TrainingForward.losses`."""


@dataclass(frozen=True, slots=True)
class LanguageOutput:
    """What the language model returns for some conversations."""

    logits: Tensor
    """[N, V], for every token of the answers."""
    targets: Tensor
    """int64 [N], those tokens."""
    owners: Tensor
    """int64 [N], the example that each token belongs to."""
    segs: Tensor
    """[n, H], hidden states at the `[SEG]`s, example by example."""


class TrainingForward(nn.Module):
    """A Sa2VA whose `forward` returns the losses, so that it can be wrapped for several devices (DDP, FSDP)."""

    def __init__(self, model: Sa2VA, *, points: int = 0, dtype: torch.dtype = torch.float32) -> None:
        """Wrap a model.

        Args:
            model: The model that is trained.
            points: Points at which a mask is compared; 0 for all its pixels.
            dtype: Type of the computation, where float32 is not necessary.
        """
        super().__init__()
        self.model = model
        self.points = points
        self.dtype = dtype
        mllm: Any = model.mllm
        self._no_split_modules = sorted(mllm._no_split_modules)  # where accelerate may cut it to shard weights

    def forward(self, examples: Sequence[EncodedExample], *, measure: bool = False) -> Tensor:
        """Return the losses (see `losses`), computed in `dtype`."""
        with torch.autocast(self.model.adapter.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.losses(examples, measure=measure)

    def losses(self, examples: Sequence[EncodedExample], *, measure: bool = False) -> Tensor:
        """Compute the losses of some examples.

        Args:
            examples: Encoded examples, of any sizes.
            measure: Whether to return the mean IoU of the masks too.

        Returns:
            float32 [examples, 3]: text, pixels and dice, without weights. With `measure` [examples, 4]: the mean IoU,
            NaN for an example without masks, is the last column.

        Raises:
            InputError: If a conversation has tokens that stand for images.
        """
        output = self._language_forward(examples)
        text = text_losses(output.logits, output.targets, output.owners, len(examples))
        if not len(output.segs):
            none = self._unused() * text.new_ones(2, len(examples))
            return torch.stack([text, *none, *([text.new_full(text.shape, torch.nan)] if measure else [])], dim=1)
        drawn = [(one, logits) for one, logits in zip(examples, self.draw(examples, output.segs), strict=True)]
        device = text.device
        owners = torch.tensor([i for i, (_, logits) in enumerate(drawn) for _ in range(len(logits))], device=device)
        pairs = [(logits, one.masks.flatten(0, 1).to(device)) for one, logits in drawn if len(logits)]
        compared = [mask_losses(logits, masks, self.points) for logits, masks in pairs]
        columns = [torch.cat(losses) for losses in zip(*compared, strict=True)]
        found = [means(values, owners, len(examples)) for values in columns]
        if measure:
            ious = torch.cat([self._ious(logits, masks) for logits, masks in pairs])
            none = torch.bincount(owners, minlength=len(examples)) == 0
            found.append(means(ious, owners, len(examples)).masked_fill(none, torch.nan))
        return torch.stack([text, *found], dim=1)

    def draw(self, examples: Sequence[EncodedExample], segs: Tensor) -> list[Tensor]:
        """Decode masks from the hidden states at the `[SEG]`s [n, H]: logits [n · T, S/4, S/4] for each example."""
        sam2, device = self.model.sam2, segs.device
        language = self.model.text_hidden_fcs(segs)
        frames: list[int] = []
        named: list[int] = []  # index of the [SEG] for each object and frame
        first_frame = first_seg = 0
        for one in examples:
            count, of_object, segs_each = *one.masks.shape[:2], one.segs_per_object
            frames += [first_frame + frame for _ in range(count) for frame in range(of_object)]
            named += [first_seg + n * segs_each + frame % segs_each for n in range(count) for frame in range(of_object)]
            first_frame, first_seg = first_frame + len(one.frames), first_seg + count * segs_each
        features = sam2.encode_batch(torch.cat([one.frames for one in examples]))
        logits = sam2.decode_pairs(features, torch.tensor(frames, device=device), language[named])
        return list(torch.split(logits, [one.masks.shape[0] * one.masks.shape[1] for one in examples]))

    def _language_forward(self, examples: Sequence[EncodedExample]) -> LanguageOutput:
        mllm = self.model.adapter
        talks = [(number, talk) for number, one in enumerate(examples) for talk in one.conversations]
        encoded = mllm.encode_inputs([one.vision for one in examples])
        features = [encoded[number] for number, _ in talks]
        batch = pad(mllm, features, [talk.ids for _, talk in talks], share=False)
        with seg_states_of(mllm) as seen:
            normalized, states = run_batch(mllm, features, batch, None, seen)
        learnt: list[tuple[int, int, int]] = []  # example, row, index
        named: list[tuple[int, int]] = []  # row, index
        for row, (number, talk) in enumerate(talks):
            offset = normalized.shape[1] - len(talk.ids)
            learnt += [(number, row, offset + index) for index, learns in enumerate(talk.learnt) if learns]
            named += [(row, offset + index) for index in talk.indices_of(mllm.seg_ids)]
        owners, rows, columns = torch.tensor(learnt, device=normalized.device).unbind(dim=1)
        seg_rows, seg_columns = (
            torch.tensor(named, dtype=torch.int64, device=states.device).reshape(-1, 2).unbind(dim=1)
        )
        return LanguageOutput(
            logits=mllm.logits(normalized[rows, columns - 1]),
            targets=batch.rests.to(columns.device)[rows, columns],
            owners=owners,
            segs=states[seg_rows, seg_columns],
        )

    def _ious(self, logits: Tensor, masks: Tensor) -> Tensor:
        """IoU [N] of masks bool [N, h, w] and logits [N, S/4, S/4] above 0, at the masks' size; 1 if both are empty."""
        side = self.model.sam2.image_size
        drawn = resized_logits(logits, [(side, side), (masks.shape[-2], masks.shape[-1])]) > 0
        common, either = (drawn & masks).sum((1, 2)), (drawn | masks).sum((1, 2))
        return torch.where(either > 0, common / either.clamp(min=1), torch.ones_like(common, dtype=torch.float32))

    def _unused(self) -> Tensor:
        """Return 0, computed from every weight that only masks train: DDP expects the same gradients on all devices."""
        parts = (self.model.text_hidden_fcs, self.model.sam2)
        weights = [weight for part in parts for weight in part.parameters() if weight.requires_grad]
        return torch.stack([0.0 * weight.sum() for weight in weights]).sum() if weights else torch.zeros(())
