"""Whether the code that runs now is a client of language models that is recorded already: what it sends is not
recorded a second time as HTTP."""

from contextvars import ContextVar

talking: ContextVar[bool] = ContextVar("paramedic.talking", default=False)


class Talking:
    """A block in which such a client speaks."""

    def __enter__(self) -> None:
        self._token = talking.set(True)

    def __exit__(self, *_: object) -> None:
        talking.reset(self._token)
