"""Reads torch's zip files as data: records checked before they are read, and tensors built from their bytes by hand.

``torch.save`` writes a zip of stored (uncompressed) entries: ``NAME/data.pkl``, ``NAME/data/0``, ``NAME/data/1``, and
a few small ones. Anything else that a zip can do (compression, encryption, two entries of one name, entries that
overlap) is refused: it is the material of zip bombs and of files that two readers understand differently.
"""

from __future__ import annotations

import math
import zipfile
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from recommender.errors import CorruptCheckpointError
from recommender.pickles import Call, Global, Persistent, read_pickle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

MAX_PICKLE_BYTES: Final = 4 * 2**20
"""Largest data.pkl: RecBole's are about 14 kB and grow by 4 kB a layer."""

MAX_RECORDS: Final = 20_000
"""Most entries of the zip: a model of 100 layers and its optimizer has about 5,000."""

ENCRYPTED: Final = 0x1
FLOAT_STORAGE: Final = Global("torch", "FloatStorage")
REBUILD: Final = Global("torch._utils", "_rebuild_tensor_v2")
REBUILD_ARGUMENTS: Final = (6, 7)  # newer torch adds a metadata argument
STORAGE_KEY_PARTS: Final = 5
LARGEST_RANK: Final = 4


class TorchArchive:
    """A torch zip file, open for reading; a context manager.

    Raises:
        CorruptCheckpointError: the file is no such zip, or not one that torch would write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise CorruptCheckpointError(
                f"{path} is not a checkpoint of torch's zip format ({error}); give the .pth file that RecBole saved."
            ) from error
        try:
            self._records = self._check_records()
            self._root = self._find_root()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def pickle(self, allows: Callable[[str, str], bool]) -> Any:
        """The archive's object as symbols (see `recommender.pickles`)."""
        if self._records[f"{self._root}/data.pkl"].file_size > MAX_PICKLE_BYTES:
            raise self._corrupt("its pickle is far larger than any that RecBole writes")
        return read_pickle(self._read(f"{self._root}/data.pkl"), allows)

    def tensor(self, symbol: Any, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The float32 tensor that the pickle describes, copied out of the archive.

        Args:
            symbol: what the pickle holds under this name.
            name: parameter name, for messages.
            shape: the only shape that will do.

        Raises:
            CorruptCheckpointError: it is no such tensor, lies about its storage, or is not finite.
        """
        key, offset = self._locate(symbol, name, shape)
        count = math.prod(shape)
        record = f"{self._root}/data/{key}"
        if record not in self._records:
            raise self._corrupt(f"the storage of {name} is missing")
        values = np.frombuffer(self._read(record), dtype="<f4")
        if offset + count > values.size:
            raise self._corrupt(f"{name} reaches beyond its storage")
        tensor = values[offset : offset + count].reshape(shape).astype(np.float32, copy=True)
        if not np.isfinite(tensor).all():
            raise self._corrupt(f"{name} holds values that are not finite")
        return tensor

    def _locate(self, symbol: Any, name: str, shape: tuple[int, ...]) -> tuple[str, int]:
        """Storage key and offset (in values) of a tensor symbol, once it is what it has to be."""
        if type(symbol) is not Call or symbol.function != REBUILD or len(symbol.arguments) not in REBUILD_ARGUMENTS:
            raise self._corrupt(f"{name} is not a tensor")
        storage, offset, size, stride = symbol.arguments[:4]
        parts = storage.key if type(storage) is Persistent else None
        if type(parts) is not tuple or len(parts) != STORAGE_KEY_PARTS or parts[0] != "storage":
            raise self._corrupt(f"{name} has no storage")
        kind, key, count = parts[1], parts[2], parts[4]
        if kind != FLOAT_STORAGE:
            raise self._corrupt(f"{name} is stored as {kind} and not as 32-bit floats")
        if type(key) is not str or not (key.isascii() and key.isdigit()):
            raise self._corrupt(f"the storage of {name} has no number")
        if size != shape:
            raise self._corrupt(f"{name} has the shape {_brief(size)} instead of {shape}")
        if stride != _contiguous(shape):
            raise self._corrupt(f"{name} is not stored row by row")
        if type(offset) is not int or type(count) is not int or not 0 <= offset <= offset + math.prod(shape) <= count:
            raise self._corrupt(f"{name} reaches beyond its storage")
        if self._size(key) != 4 * count:
            raise self._corrupt(f"the storage of {name} is not of the size that the pickle states")
        return key, offset

    def _size(self, key: str) -> int:
        record = self._records.get(f"{self._root}/data/{key}")
        return -1 if record is None else record.file_size

    def _check_records(self) -> dict[str, zipfile.ZipInfo]:
        records = self._zip.infolist()
        if len(records) > MAX_RECORDS:
            raise self._corrupt("it has far more entries than any that RecBole writes")
        for record in records:
            if record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size:
                raise self._corrupt("its entries are compressed, which torch never does")
            if record.flag_bits & ENCRYPTED:
                raise self._corrupt("its entries are encrypted")
        by_name = {record.filename: record for record in records}
        if len(by_name) != len(records):
            raise self._corrupt("two of its entries have the same name")
        if sum(record.file_size for record in records) > self._path.stat().st_size:
            raise self._corrupt("its entries overlap")
        return by_name

    def _find_root(self) -> str:
        pickles = [name for name in self._records if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise self._corrupt("it does not hold exactly one pickle")
        root = pickles[0].removesuffix("/data.pkl")
        order = f"{root}/byteorder"  # torch before 2.1 wrote none, and always little
        if order in self._records and (
            self._records[order].file_size > len("little") or self._read(order) != b"little"
        ):
            raise self._corrupt("it was written on a big-endian machine")
        return root

    def _read(self, name: str) -> bytes:
        try:
            return self._zip.read(name)
        except (OSError, zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
            raise self._corrupt(f"its entry {name} cannot be read: {error}") from error

    def _corrupt(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(f"{self._path} cannot be trusted: {what}; give the .pth file that RecBole saved.")


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in values, of an array stored row by row."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _brief(value: Any) -> str:
    """A size out of the file, fit for a message: it may be anything."""
    return (
        str(value)
        if type(value) is tuple and len(value) <= LARGEST_RANK and all(type(x) is int for x in value)
        else "?"
    )
