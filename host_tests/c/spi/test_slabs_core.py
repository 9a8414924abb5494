"""Memory that no collection looks at: each kind is there once, for one user at a time."""

import pytest
from core_rig import memory_at

RINGS, TRACE = 0, 1
SIZE = 32768


@pytest.fixture
def slabs(chip):
    return chip.c


def test_bytes_of_zeros(slabs):
    memory = slabs.slab_take(RINGS, SIZE)
    assert memory % 4 == 0
    assert bytes(memory_at(memory, SIZE)) == bytes(SIZE)
    memory_at(memory, SIZE)[:] = b"x" * SIZE  # all of it is ours


def test_a_second_taker_gets_nothing(slabs):
    memory = slabs.slab_take(RINGS, SIZE)
    assert slabs.slab_take(RINGS, SIZE) is None
    assert slabs.slab_take(TRACE, 5128) not in (None, memory)


def test_given_back_it_is_the_next_taker_s_and_cleared(slabs):
    memory = slabs.slab_take(RINGS, SIZE)
    memory_at(memory, SIZE)[:] = b"x" * SIZE
    assert slabs.slab_give_back(memory)
    assert slabs.slab_take(RINGS, SIZE) == memory
    assert bytes(memory_at(memory, SIZE)) == bytes(SIZE)
    assert slabs.fake_blocks() == 1


def test_after_the_end_of_python_all_are_there_again(slabs):
    before = slabs.slab_take(RINGS, SIZE), slabs.slab_take(TRACE, 5128)
    memory_at(before[1], 5128)[:] = b"x" * 5128
    slabs.slabs_forget()
    assert (slabs.slab_take(RINGS, SIZE), slabs.slab_take(TRACE, 5128)) == before
    assert bytes(memory_at(before[1], 5128)) == bytes(5128)


def test_what_is_no_slab_cannot_be_given_back(slabs):
    memory = slabs.slab_take(RINGS, SIZE)
    for other in (None, memory + 4, memory - 4):
        assert not slabs.slab_give_back(other)
    assert slabs.slab_take(RINGS, SIZE) is None, "it is still in use"
    assert slabs.slab_give_back(memory)
    assert not slabs.slab_give_back(memory), "it was given back already"


@pytest.mark.parametrize(
    ("kind", "size"), [(-1, SIZE), (2, SIZE), (TRACE, 0), (RINGS, SIZE - 4), (RINGS, SIZE + 4)]
)
def test_what_is_not_to_be_had(slabs, kind, size):
    memory = slabs.slab_take(RINGS, SIZE)
    slabs.slab_give_back(memory)
    assert slabs.slab_take(kind, size) is None
    assert slabs.slab_take(RINGS, SIZE) == memory
    assert slabs.slabs_taken() == SIZE


def test_out_of_memory_is_not_for_ever(slabs):
    slabs.fake_run_out_at(1)
    assert slabs.slab_take(RINGS, SIZE) is None
    assert slabs.slabs_taken() == 0
    assert slabs.slab_take(RINGS, SIZE)
    assert slabs.slabs_taken() == SIZE
