"""What a person is told when a command cannot go on: sentences, never a traceback."""


class UserError(Exception):
    """Stops a command; each sentence names the thing, shows the value and says what would do.

    Args:
        sentences: One a mistake; all of them are shown.
        code: What the command exits with: 1 it could not, 2 it was asked wrongly.
    """

    def __init__(self, *sentences: str, code: int = 1) -> None:
        super().__init__("\n".join(sentences))
        self.sentences, self.code = sentences, code
