"""A terminal for tests: what is written to it moves a cursor and leaves text, as on a real one."""

import re

_WORD = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[(\d+(?:;\d+)*)m|\x1b|\r|\n|[^\x1b\r\n]+")


class Screen:
    """Rows of text; the control words that `Painter` knows, and no others."""

    def __init__(self):
        self.rows = [""]
        self.row = self.column = 0
        self.bytes = 0

    def write(self, text):
        self.bytes += len(text.encode())
        for word in _WORD.finditer(text):
            self._take(word)

    def text(self):
        """What is seen."""
        return [row.rstrip() for row in self.rows[: len(self.rows) - (self.rows[-1] == "")]]

    def _take(self, word):
        whole, number, letter, colours = word[0], word[1], word[2], word[3]
        if whole == "\r":
            self.column = 0
        elif whole == "\n":
            self.row += 1
            self.rows += [""] * (self.row + 1 - len(self.rows))
        elif letter:
            self._control(letter, int(number or 1), number)
        elif colours is None:
            assert not whole.startswith("\x1b"), f"an unknown control word: {whole!r}"
            old = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = old[: self.column] + whole + old[self.column + len(whole) :]
            self.column += len(whole)

    def _control(self, letter, count, number):
        if letter == "A":
            assert count <= self.row, "above the picture"
            self.row -= count
        elif letter == "B":
            assert self.row + count < len(self.rows), "below what was ever drawn"
            self.row += count
        elif letter == "G":
            self.column = count - 1
        elif letter == "H":
            self.row = self.column = 0
        elif letter == "K":
            self.rows[self.row] = self.rows[self.row][: self.column]
        elif letter == "J" and number == "2":
            self.rows = [""] * (self.row + 1)
        elif letter == "J":
            self.rows[self.row] = self.rows[self.row][: self.column]
            del self.rows[self.row + 1 :]
        else:
            assert letter == "m", f"an unknown control word: {letter}"
