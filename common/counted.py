"""Numbers of things in messages."""


def counted(number: int, what: str) -> str:
    """Such as `1 scorer` and `1,200 scorers`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
