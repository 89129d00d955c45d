"""What is packed comes out the same: tensors of any type and size, within records, from a process or not."""

import pickle
from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor
from torch.utils.data import DataLoader

from refsav.model.training_step.parcel import Parcel, pack, unpack

ARRAYS = st.sampled_from([np.uint8, np.bool_, np.float32, np.int64]).flatmap(
    lambda kind: arrays(kind, array_shapes(min_side=0, max_dims=4, max_side=5))
)


@dataclass(frozen=True)
class Record:
    name: str
    tensors: tuple[Tensor, ...]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), st.lists(ARRAYS, max_size=4)), max_size=4))
def test_records_come_out_as_they_went_in(content: list[tuple[str, list[np.ndarray]]]) -> None:
    records = [Record(name, tuple(map(torch.from_numpy, tensors))) for name, tensors in content]
    parcel: Parcel = pickle.loads(pickle.dumps(pack(records)))  # noqa: S301 - as between processes
    found = unpack(parcel)
    assert [one.name for one in found] == [one.name for one in records]
    for one, other in zip(found, records, strict=True):
        for ours, theirs in zip(one.tensors, other.tensors, strict=True):
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
            assert ours.numpy().tobytes() == theirs.numpy().tobytes()


def test_a_tensor_that_is_a_view_comes_out_as_it_looks() -> None:
    whole = torch.arange(24).reshape(4, 6)
    (found,) = unpack(pack([whole.T[1:3]]))
    assert torch.equal(found, whole.T[1:3])


def test_tensors_of_a_process_can_be_written_to() -> None:
    tensors = [torch.ones(3), torch.zeros(2)]
    loader = DataLoader(tensors, 2, collate_fn=pack, num_workers=1, multiprocessing_context="spawn")
    ((ones, zeros),) = map(unpack, loader)
    ones += zeros.sum()
    assert ones.tolist() == [1, 1, 1] and zeros.tolist() == [0, 0]
