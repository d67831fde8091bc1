"""What the painter leaves on a terminal, and how little it sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.services.cli.painter import Line, Painter
from screen import Screen

pytestmark = pytest.mark.unit

SIZE = (80, 24)
LINES = st.lists(
    st.builds(
        Line,
        st.text("abc 12", max_size=20),
        st.sampled_from(["plain", "title", "trouble", "quiet"]),
    ),
    max_size=6,
)


@given(st.lists(LINES, min_size=1, max_size=6), st.booleans())
def test_the_terminal_shows_the_last_picture_whatever_came_before(pictures, coloured):
    screen = Screen()
    screen.write("$ laneway top\r\n")
    painter = Painter(screen.write, coloured=coloured)
    for picture in pictures:
        painter.paint(picture, SIZE)
        shown = screen.text()
        assert shown[0] == "$ laneway top"
        padded = shown[1:] + [""] * (len(picture) - len(shown[1:]))
        assert padded == [line.text.rstrip() for line in picture]
        assert (screen.row, screen.column) == (1 + len(picture), 0), "a shell goes on below"


def test_an_unchanged_picture_sends_nothing():
    sent = []
    painter = Painter(sent.append)
    picture = [Line("lane  ready"), Line("documents  12")]
    painter.paint(picture, SIZE)
    painter.paint(list(picture), SIZE)
    assert len(sent) == 1


def test_a_changed_figure_sends_little_more_than_itself():
    sent = []
    painter = Painter(sent.append)
    painter.paint(
        [Line("documents    12     0s   1/2"), Line("mail          0     0s   0/2")], SIZE
    )
    painter.paint(
        [Line("documents    13     0s   1/2"), Line("mail          0     0s   0/2")], SIZE
    )
    assert sent[1] == "\x1b[2A\r\x1b[15G3\x1b[2B\r"


def test_each_picture_is_sent_in_one_piece():
    sent = []
    painter = Painter(sent.append)
    painter.paint([Line("one"), Line("two")], SIZE)
    painter.paint([Line("one 1"), Line("two 2"), Line("three")], SIZE)
    assert len(sent) == 2


def test_another_size_clears_the_terminal_first():
    screen = Screen()
    screen.write("something wrapped\r\n")
    painter = Painter(screen.write)
    painter.paint([Line("one"), Line("two")], SIZE)
    painter.paint([Line("one"), Line("two")], (40, 24))
    assert screen.text() == ["one", "two"]


def test_after_other_output_it_draws_anew_below():
    screen = Screen()
    painter = Painter(screen.write)
    painter.paint([Line("one")], SIZE)
    screen.write("[1]+ Stopped\r\n")
    painter.forget()
    painter.paint([Line("one")], SIZE)
    assert screen.text() == ["one", "[1]+ Stopped", "one"]


def test_without_colours_there_are_none():
    sent = []
    Painter(sent.append, coloured=False).paint([Line("late", "trouble")], SIZE)
    assert sent == ["late\r\n"]
