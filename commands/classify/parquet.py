"""Answers as Parquet, which the extra `parquet` reads and writes."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, Final

from commands.classify.answer import Answer, Shape
from commands.classify.table import answer_of, columns, row

_ROWS: Final = 8192
"""Rows that are held at once, and make a group of the file."""


def write(answers: Iterable[Answer], shape: Shape, file: BinaryIO) -> None:
    """Write a file of answers."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    kinds = {"index": pyarrow.int32(), "probability": pyarrow.float32()}
    schema = pyarrow.schema(
        [(name, kinds.get(name.partition("_")[0], pyarrow.string())) for name in columns(shape)]
    )
    following = iter(answers)
    with ParquetWriter(file, schema) as writer:
        while some := list(islice(following, _ROWS)):
            by_column = zip(*(row(answer, shape) for answer in some), strict=True)
            arrays: list[Any] = [
                pyarrow.array(values, kind)
                for values, kind in zip(by_column, schema.types, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def read(file: BinaryIO, shape: Shape, classes: Sequence[str]) -> Iterator[Answer]:
    """Yield the answers of such a file; ValueError if it is another kind of file."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        found = ParquetFile(file)
        if found.schema_arrow.names != columns(shape):
            raise ValueError("its columns are others")
        for batch in found.iter_batches(_ROWS):
            for values in batch.to_pylist():
                yield answer_of(values, shape, classes)
    except (pyarrow.ArrowException, KeyError, IndexError) as error:
        raise ValueError(str(error)) from error


def check_installed() -> None:
    """Raise ModuleNotFoundError if the extra is not."""
    import pyarrow.parquet  # noqa: F401
