"""x"""


def up() -> None: ...
