"""What is wrong with a recorded data set, one clear sentence a mistake, all of them at once."""

from collections.abc import Sequence


class RecordedMistakes(ValueError):
    """A data set that cannot be read as it is."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)
