"""One forward pass of training: conversations through the language model, their `[SEG]`s into masks, the losses.

As the paper has it (section 3.4, equation 2): text cross-entropy, and pixel cross-entropy with dice for masks.
Every frame is decoded on its own from the `[SEG]` embedding; SAM-2's memory takes no part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from refsav.model.language.batched_forward import pad, read, seg_states_of
from refsav.model.sa2va import Sa2VA
from refsav.model.sam.grounding import resized_logits
from refsav.model.training_step.example_encoding import Prepared
from refsav.model.training_step.losses import mask_losses, means, text_losses

PARTS = ("text", "pixels", "dice")
"""What a loss is made of, in the order of the columns of `Teacher.losses`."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the language model makes of some conversations."""

    scores: Tensor
    """[N, V], logits for every token of the answers."""
    wanted: Tensor
    """int64 [N], those tokens."""
    owners: Tensor
    """int64 [N], the example that each belongs to."""
    segs: Tensor
    """[n, H], states at the `[SEG]`s, example by example."""


class Teacher(nn.Module):
    """A Sa2VA whose forward pass is that of training, as wrappers for several devices want it."""

    def __init__(self, model: Sa2VA, *, points: int = 0, dtype: torch.dtype = torch.float32) -> None:
        """Take a model into training.

        Args:
            model: It.
            points: Of a mask that are compared; all pixels if it is 0.
            dtype: What is computed in, where that does not need float32.
        """
        super().__init__()
        self.model = model
        self.points = points
        self.dtype = dtype
        mllm: Any = model.mllm
        self._no_split_modules = sorted(mllm._no_split_modules)  # where accelerate may cut it to shard weights

    def forward(self, examples: Sequence[Prepared], *, measure: bool = False) -> Tensor:
        """Give what `losses` does, computed in `dtype`."""
        with torch.autocast(self.model.adapter.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.losses(examples, measure=measure)

    def losses(self, examples: Sequence[Prepared], *, measure: bool = False) -> Tensor:
        """Losses of some examples, float32 [examples, 3]: text, pixels and dice, not weighted yet.

        With `measure` [examples, 4]: the mean IoU of the masks comes behind them, not a number where there are none.

        Raises:
            InputError: If a conversation has tokens that stand for images.
        """
        heard = self._hear(examples)
        text = text_losses(heard.scores, heard.wanted, heard.owners, len(examples))
        if not len(heard.segs):
            none = self._unused() * text.new_ones(2, len(examples))
            return torch.stack([text, *none, *([text.new_full(text.shape, torch.nan)] if measure else [])], dim=1)
        drawn = [(one, logits) for one, logits in zip(examples, self.draw(examples, heard.segs), strict=True)]
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

    def draw(self, examples: Sequence[Prepared], segs: Tensor) -> list[Tensor]:
        """Mask logits [n · T, S/4, S/4] of each example, object by object, from the states at its `[SEG]`s."""
        sam2, device = self.model.sam2, segs.device
        language = self.model.text_hidden_fcs(segs)
        frames: list[int] = []
        named: list[int] = []  # by which [SEG] each object is meant in each frame
        first_frame = first_seg = 0
        for one in examples:
            count, shown, segs_each = *one.masks.shape[:2], one.segs_per_object
            frames += [first_frame + frame for _ in range(count) for frame in range(shown)]
            named += [first_seg + n * segs_each + frame % segs_each for n in range(count) for frame in range(shown)]
            first_frame, first_seg = first_frame + len(one.pictures), first_seg + count * segs_each
        features = sam2.encode_pictures(torch.cat([one.pictures for one in examples]))
        logits = sam2.decode_pairs(features, torch.tensor(frames, device=device), language[named])
        return list(torch.split(logits, [one.masks.shape[0] * one.masks.shape[1] for one in examples]))

    def _hear(self, examples: Sequence[Prepared]) -> Heard:
        mllm = self.model.adapter
        talks = [(number, talk) for number, one in enumerate(examples) for talk in one.conversations]
        seen_once = mllm.look([one.shown for one in examples])
        sights = [seen_once[number] for number, _ in talks]
        batch = pad(mllm, sights, [talk.ids for _, talk in talks], share=False)
        with seg_states_of(mllm) as seen:
            normalized, states = read(mllm, sights, batch, None, seen)
        learnt: list[tuple[int, int, int]] = []  # example, row, place
        named: list[tuple[int, int]] = []  # row, place
        for row, (number, talk) in enumerate(talks):
            offset = normalized.shape[1] - len(talk.ids)
            learnt += [(number, row, offset + place) for place, learns in enumerate(talk.learnt) if learns]
            named += [(row, offset + place) for place in talk.places_of(mllm.seg_ids)]
        owners, rows, places = torch.tensor(learnt, device=normalized.device).unbind(dim=1)
        seg_rows, seg_places = torch.tensor(named, dtype=torch.int64, device=states.device).reshape(-1, 2).unbind(dim=1)
        return Heard(
            scores=mllm.logits(normalized[rows, places - 1]),
            wanted=batch.rests.to(places.device)[rows, places],
            owners=owners,
            segs=states[seg_rows, seg_places],
        )

    def _ious(self, logits: Tensor, masks: Tensor) -> Tensor:
        """IoU of masks [N] at their own size, where logits [N, S/4, S/4] are above 0; 1 if both are empty."""
        side = self.model.sam2.image_size
        drawn = resized_logits(logits, [(side, side), (masks.shape[-2], masks.shape[-1])]) > 0
        common, either = (drawn & masks).sum((1, 2)), (drawn | masks).sum((1, 2))
        return torch.where(either > 0, common / either.clamp(min=1), torch.ones_like(common, dtype=torch.float32))

    def _unused(self) -> Tensor:
        """0, made of every weight that only masks teach: devices that work together expect the same gradients."""
        parts = (self.model.text_hidden_fcs, self.model.sam2)
        weights = [weight for part in parts for weight in part.parameters() if weight.requires_grad]
        return torch.stack([0.0 * weight.sum() for weight in weights]).sum() if weights else torch.zeros(())
