"""XML files of annotations."""

from __future__ import annotations

from pathlib import Path
from stat import S_ISREG
from xml.etree import ElementTree
from xml.parsers import expat

from vjo_train.errors import DataError

MOST_BYTES = 1 << 24
"""Of an annotation file: a thousand times what a crowded image needs."""
LINE = "line of the file"
"""An attribute that no file can have, for the line that an element begins in."""


def read_xml(path: Path, most: int = MOST_BYTES, *, lines: bool = False) -> ElementTree.Element:
    """The tree of an XML file without a document type, so that entities can neither grow nor read other files.

    Args:
        path: the file.
        most: bytes that it may have.
        lines: every element has an attribute `LINE`, the line that it begins in.

    Raises:
        DataError: it cannot be read, or is no such file.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        builder.start(tag, attributes | {LINE: str(parser.CurrentLineNumber)} if lines else attributes)

    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: object) -> None:
        raise DataError(f"{path}: found a document type declaration (<!DOCTYPE ...>); an annotation must have none.")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(_content(path, most), True)
    except expat.ExpatError as error:
        where = f"{expat.ErrorString(error.code)} in line {error.lineno}, column {error.offset}"
        raise DataError(f"{path}: found {where}; must be well-formed XML.") from error
    except (ValueError, LookupError) as error:
        raise DataError(f"{path}: no readable XML ({error}); must be UTF-8 or of a declared encoding.") from error
    return builder.close()


def _content(path: Path, most: int) -> bytes:
    try:
        stat = path.stat()
        if not S_ISREG(stat.st_mode):
            raise DataError(f"{path}: is no regular file; must be an XML file.")
        if stat.st_size > most:
            raise DataError(f"{path}: found {stat.st_size} bytes; an annotation may have {most}.")
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: the annotation is missing; every image of a split must have one.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
