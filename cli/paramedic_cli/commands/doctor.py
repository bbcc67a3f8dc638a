"""x"""


def doctor() -> None: ...
