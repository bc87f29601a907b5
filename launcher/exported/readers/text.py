"""The text that the model writes for each text, or behind it."""

from launcher.exported.readers.writer import Writer


class Reader(Writer):
    """Each text by itself."""
