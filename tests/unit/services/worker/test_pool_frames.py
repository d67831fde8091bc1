"""Frames arrive whole, however the bytes are cut, and leave in pieces."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.services.worker.pool.frames import FrameReader, Outbox, pack

pytestmark = pytest.mark.unit

FRAMES = st.lists(
    st.tuples(st.integers(0, 2**63), st.integers(0, 255), st.binary(max_size=300)), max_size=12
)


@given(FRAMES, st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_a_reader_makes_of_any_pieces_what_was_packed(frames, cuts):
    data = b"".join(pack(*frame) for frame in frames)
    reader, read, turn = FrameReader(), [], 0
    while data:
        size = cuts[turn % len(cuts)]
        read += [(n, kind, bytes(payload)) for n, kind, payload in reader.feed(data[:size])]
        data, turn = data[size:], turn + 1
    assert read == frames


@pytest.fixture
def pipe():
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    yield read, write
    os.close(read)
    os.close(write)


def drain(fd):
    data = b""
    while True:
        try:
            data += os.read(fd, 1 << 20)
        except BlockingIOError:
            return data


def test_what_a_pipe_does_not_take_goes_on_when_it_does(pipe):
    read, write = pipe
    box, reader, got = Outbox(), FrameReader(), []
    sent = [(1, 1, b"a"), (2, 1, b"x" * (5 << 20)), (3, 2, b"b" * 100)]
    for frame in sent:
        box.put(*frame)
    turns = 0
    while box:
        box.send(write)
        got += [(n, kind, bytes(payload)) for n, kind, payload in reader.feed(drain(read))]
        turns += 1
    assert got == sent
    assert turns > 5


def test_frames_after_a_number_are_dropped_but_for_one_that_is_on_its_way(pipe):
    read, write = pipe
    box, reader = Outbox(), FrameReader()
    for number in range(1, 4):
        box.put(number, 1, b"x" * (1 << 20))
    assert not box.send(write)
    box.drop_after(0)
    got = []
    while box:
        got += reader.feed(drain(read))
        box.send(write)
    got += reader.feed(drain(read))
    assert [frame.number for frame in got] == [1]


def test_frames_not_begun_are_all_dropped(pipe):
    box = Outbox()
    box.put(1, 1, b"a")
    box.put(2, 1, b"x" * (1 << 20))
    box.put(3, 1, b"b")
    box.drop_after(1)
    read, write = pipe
    assert box.send(write)
    assert [frame.number for frame in FrameReader().feed(drain(read))] == [1]


def test_a_closed_pipe_is_said_so():
    read, write = os.pipe()
    os.close(read)
    box = Outbox()
    box.put(1, 1, b"a")
    with pytest.raises(BrokenPipeError):
        box.send(write)
    os.close(write)
