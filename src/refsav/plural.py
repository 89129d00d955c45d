"""Counts in sentences: 1 video, 2 videos."""


def plural(count: int, word: str) -> str:
    """Give the word as it stands after the number."""
    return word if count == 1 else f"{word}s"
