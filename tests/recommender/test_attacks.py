"""Hostile checkpoints: each is refused with one clear sentence, runs nothing, and costs little memory.

Every attack is a whole file at the path of the checkpoint. Most begin from a checkpoint that would import, with its
pickle or its zip changed, so that the attack and nothing else is what is refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import random
import struct
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import pytest

from recbole_files import architecture, random_weights, settings, write_checkpoint
from recommender.checkpoint import read_checkpoint
from recommender.errors import CheckpointError, CorruptCheckpointError
from recommender.vocabulary import read_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FUZZED = 300

MEMORY = 32 * 2**20
"""Bytes that refusing a file of a few kilobytes may take at most."""

PROTO, STOP, MARK, REDUCE, BUILD, TUPLE, EMPTY_TUPLE, MEMOIZE = b"\x80\x04", b".", b"(", b"R", b"b", b"t", b")", b"\x94"


def text(value: str) -> bytes:
    """A short string, pickled."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def named(module: str, name: str) -> bytes:
    """A global, pickled."""
    return text(module) + text(name) + b"\x93"


def calling(module: str, name: str, *arguments: str) -> bytes:
    """A pickle that calls a function with strings."""
    return PROTO + named(module, name) + MARK + b"".join(map(text, arguments)) + TUPLE + REDUCE + STOP


CANARY = "touch canary"
ALLOWED = ("collections", "OrderedDict")

PICKLES: dict[str, bytes] = {
    "os.system by REDUCE": calling("os", "system", CANARY),
    "posix.system by REDUCE": calling("posix", "system", CANARY),
    "builtins.eval": calling("builtins", "eval", "open('canary', 'w')"),
    "builtins.exec": calling("builtins", "exec", "open('canary', 'w')"),
    "builtins.getattr": calling("builtins", "getattr", "os", "system"),
    "subprocess.Popen": calling("subprocess", "Popen", CANARY),
    "importlib.import_module": calling("importlib", "import_module", "antigravity"),
    "torch.hub.load": calling("torch.hub", "load", "x/y", "z"),
    "torch.load again": calling("torch", "load", "other.pth"),
    "pickle.loads again": calling("pickle", "loads", "c"),
    "a RecBole helper that runs eval": calling("recbole.config.configurator", "eval", "1"),
    "numpy's loader": calling("numpy", "load", "other.npy"),
    "GLOBAL of protocol 2": b"\x80\x02cposix\nsystem\n" + MARK + b"U\x0ctouch canaryt" + REDUCE + STOP,
    "INST": b"\x80\x02(S'touch canary'\niposix\nsystem\n.",
    "OBJ": PROTO + MARK + named("os", "system") + text(CANARY) + b"o" + STOP,
    "NEWOBJ of another class": PROTO + named("subprocess", "Popen") + text(CANARY) + b"\x85\x81" + STOP,
    "NEWOBJ_EX": PROTO + named(*ALLOWED) + EMPTY_TUPLE + b"}\x92" + STOP,
    "EXT1 registry": PROTO + b"\x82\x01" + STOP,
    "persistent id as text": PROTO + b"Pstorage\n" + STOP,
    "dotted name through an allowed module": PROTO + named("torch._utils", "_rebuild_tensor_v2.__globals__") + STOP,
    "dotted name to a class's base": PROTO + named("collections", "OrderedDict.__base__.__subclasses__") + STOP,
    "a module path in the name": PROTO + named("recbole.model.sequential_recommender.bert4rec", "os.system") + STOP,
    "a model class from elsewhere": PROTO + named("evil.sequential_recommender.bert4rec", "BERT4Rec") + STOP,
    "BUILD on a function": PROTO
    + named("torch._utils", "_rebuild_tensor_v2")
    + b"N}"
    + text("__defaults__")
    + b"Ns\x86b.",
    "BUILD on a dict": PROTO + b"}}" + text("a") + b"Nsb" + STOP,
    "REDUCE of a string": PROTO + text("os") + EMPTY_TUPLE + REDUCE + STOP,
    "REDUCE with a list of arguments": PROTO + named(*ALLOWED) + b"]" + REDUCE + STOP,
    "SETITEM on a list": PROTO + b"]" + text("a") + b"Ns" + STOP,
    "APPEND to a dict": PROTO + b"}Na" + STOP,
    "a tuple as a key": PROTO + b"})Ns" + STOP,
    "whole numbers that collide as keys": PROTO + b"}\x8a\x09" + (2**64 + 1).to_bytes(9, "little") + b"Ns" + STOP,
    "memo index of two billion": PROTO + b"Nr\xff\xff\xff\x7f0" + STOP,
    "memo index that is not there": PROTO + b"h\x07" + STOP,
    "BINBYTES8 of an exabyte": PROTO + b"\x8e" + struct.pack("<Q", 2**60) + b"x" + STOP,
    "BYTEARRAY8 of an exabyte": b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b"x" + STOP,
    "BINUNICODE of two gigabytes": PROTO + b"X" + struct.pack("<I", 2**31 - 1) + b"x" + STOP,
    "FRAME of an exabyte": PROTO + b"\x95" + struct.pack("<Q", 2**60) + b"N" + STOP,
    "LONG4 of two gigabytes": PROTO + b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x" + STOP,
    "a decimal of a million digits": b"\x80\x02L" + b"9" * 10**6 + b"L\n" + STOP,
    "a list that doubles 64 times": PROTO + b"]" + MEMOIZE + (b"]" + MEMOIZE + MARK + b"h\x00h\x00e") * 64 + STOP,
    "a list in itself": PROTO + b"]" + MEMOIZE + b"h\x00a" + STOP,
    "lists nested a hundred thousand deep": PROTO + b"]" * 10**5 + b"a" * (10**5 - 1) + STOP,
    "an empty stack": PROTO + b"0" + STOP,
    "no end": PROTO + b"N",
    "values left over": PROTO + b"NN" + STOP,
    "a mark as a value": PROTO + MARK + STOP,
    "nothing": b"",
    "no pickle at all": b"<html>not found</html>",
    "a list instead of a checkpoint": PROTO + b"]" + STOP,
}


@pytest.fixture(name="checkpoint")
def _checkpoint(tmp_path: Path) -> Path:
    shape = architecture()
    return write_checkpoint(tmp_path / "good.pth", settings(shape), random_weights(shape))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attack that runs would leave its canary where the test can see it."""
    monkeypatch.chdir(tmp_path)


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None], **how: int) -> Path:
    """The zip with each entry's content changed; None drops the entry."""
    target = path.with_name("attack.pth")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w", how.get("compression", 0)) as archive:
        for name in source.namelist():
            content = change(name, source.read(name))
            if content is not None:
                archive.writestr(name, content)
    return target


def with_pickle(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """The checkpoint with another pickle."""
    return rewritten(path, lambda name, content: change(content) if name.endswith("data.pkl") else content)


def assert_refused(path: Path, read: Callable[[Path], object] = read_checkpoint) -> str:
    """The file is refused in one sentence, without running anything and without much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as refusal:
            read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY
    assert not (path.parent / "canary").exists()
    message = str(refusal.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 600
    return message


def test_the_unchanged_checkpoint_is_read(checkpoint: Path) -> None:
    """So that what the attacks change is what gets them refused."""
    assert read_checkpoint(rewritten(checkpoint, lambda _, content: content)).architecture == architecture()


@pytest.mark.parametrize("attack", PICKLES)
def test_a_hostile_pickle_is_refused(checkpoint: Path, attack: str) -> None:
    """As the checkpoint's pickle, and as a saved data set, which goes through the same parser."""
    assert_refused(with_pickle(checkpoint, lambda _: PICKLES[attack]))


@pytest.mark.parametrize("attack", [name for name in PICKLES if "list" not in name])
def test_a_hostile_data_set_is_refused(tmp_path: Path, attack: str) -> None:
    """RecBole's saved data set is a bare pickle."""
    path = tmp_path / "dataset.pth"
    path.write_bytes(PICKLES[attack])

    with pytest.raises(Exception, match=r"\.$") as refusal:
        read_vocabulary(path, "item_id", 5)

    assert type(refusal.value).__module__ == "recommender.errors"
    assert not (tmp_path / "canary").exists()


def test_a_payload_inside_a_real_checkpoint_is_refused(checkpoint: Path) -> None:
    """Among the values of the config, where a loader that checks only the top level would miss it."""

    def infected(content: bytes) -> bytes:
        name = text("dataset") if text("dataset") in content else b""
        payload = named("os", "system") + text(CANARY) + b"\x85" + REDUCE
        start = content.index(name) + len(name) + 1
        rest = content[start + len(text("tiny")) :]
        return _unframed(content[:start] + payload + rest)

    assert "os.system" in assert_refused(with_pickle(checkpoint, infected))


def _unframed(content: bytes) -> bytes:
    """The pickle with its frame's length corrected."""
    frame = content.index(b"\x95")
    return content[: frame + 1] + struct.pack("<Q", len(content) - frame - 9) + content[frame + 9 :]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ((31, 16), (31, 2**40), "sizes"),
        ((31, 16), (2**62, 16), "beyond its storage"),
        ((31, 16), (-31, 16), "no matrix"),
        ((16, 1), (1, 16), "row by row"),
        ((16, 1), (-16, 1), "row by row"),
        ((16, 1), (0, 0), "row by row"),
    ],
)
def test_a_lying_tensor_is_refused(
    checkpoint: Path, before: tuple[int, int], after: tuple[int, int], reason: str
) -> None:
    """Shapes and strides that the storage does not have."""

    def lying(content: bytes) -> bytes:
        assert _pair(before) in content
        return _unframed(content.replace(_pair(before), _pair(after)))

    assert reason in assert_refused(with_pickle(checkpoint, lying))


def _pair(values: tuple[int, int]) -> bytes:
    """Two numbers and the opcode that makes them a tuple, as pickled inside a tensor."""
    return b"".join(map(_number, values)) + b"\x86"


def _number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    size = (value.bit_length() + 8) // 8
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


@pytest.mark.parametrize(
    "storage",
    ["DoubleStorage", "HalfStorage", "LongStorage", "BFloat16Storage"],
)
def test_weights_of_another_type_are_refused(checkpoint: Path, storage: str) -> None:
    """Only 32-bit floats are weights."""

    def retyped(content: bytes) -> bytes:
        return _unframed(content.replace(text("FloatStorage"), text(storage)))

    assert storage in assert_refused(with_pickle(checkpoint, retyped))


def test_a_tensor_beyond_its_storage_is_refused(checkpoint: Path) -> None:
    """A record that is shorter than the pickle says."""

    def cut(name: str, content: bytes) -> bytes:
        return content[:-4] if name.endswith("/data/0") else content

    assert "storage" in assert_refused(rewritten(checkpoint, cut))


def test_a_missing_storage_is_refused(checkpoint: Path) -> None:
    """A record that is not there."""
    missing = rewritten(checkpoint, lambda name, content: None if name.endswith("/data/0") else content)

    assert "storage" in assert_refused(missing)


@pytest.mark.parametrize("value", [b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\x00\x00\x80\xff"])
def test_values_that_are_not_finite_are_refused(checkpoint: Path, value: bytes) -> None:
    """NaN and both infinities."""
    spoilt = rewritten(checkpoint, lambda name, content: value + content[4:] if name.endswith("/data/0") else content)

    assert "finite" in assert_refused(spoilt)


def test_a_compressed_zip_is_refused(checkpoint: Path) -> None:
    """The material of zip bombs."""
    bomb = rewritten(
        checkpoint,
        lambda name, content: b"\0" * 10**7 if name.endswith("/data/0") else content,
        compression=zipfile.ZIP_DEFLATED,
    )

    assert "compressed" in assert_refused(bomb)


def test_two_entries_of_one_name_are_refused(checkpoint: Path) -> None:
    """Two readers would see two files."""
    twice = rewritten(checkpoint, lambda _, content: content)
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], PICKLES["os.system by REDUCE"])

    assert "same name" in assert_refused(twice)


def test_two_pickles_are_refused(checkpoint: Path) -> None:
    """Which one is meant is not for the file to leave open."""
    twice = rewritten(checkpoint, lambda _, content: content)
    with zipfile.ZipFile(twice, "a") as archive:
        archive.writestr("other/data.pkl", PICKLES["os.system by REDUCE"])

    assert "exactly one pickle" in assert_refused(twice)


def test_overlapping_entries_are_refused(checkpoint: Path) -> None:
    """A hundred names for one storage: small on disk, large in memory."""
    path = checkpoint.with_name("attack.pth")
    content = bytearray(checkpoint.read_bytes())
    with zipfile.ZipFile(checkpoint) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
        directory = archive.start_dir
    entry_start = content.index(largest.filename.encode(), directory) - 46
    length = 46 + len(largest.filename) + len(largest.extra)
    entry = bytes(content[entry_start : entry_start + length])
    copies = b"".join(
        entry.replace(largest.filename.encode(), str(copy).zfill(len(largest.filename)).encode()) for copy in range(99)
    )
    end = content.rindex(b"PK\x05\x06")
    count, size = struct.unpack_from("<H", content, end + 10)[0], struct.unpack_from("<I", content, end + 12)[0]
    struct.pack_into("<HHI", content, end + 8, count + 99, count + 99, size + len(copies))
    path.write_bytes(bytes(content[:end]) + copies + bytes(content[end:]))

    assert_refused(path)


def test_a_flipped_byte_in_an_entry_is_refused(checkpoint: Path) -> None:
    """The zip's own checksum."""
    content = bytearray(checkpoint.read_bytes())
    with zipfile.ZipFile(checkpoint) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith("/data/0"))
    content[info.header_offset + 200] ^= 1
    path = checkpoint.with_name("attack.pth")
    path.write_bytes(content)

    assert_refused(path)


def test_a_pickle_of_many_megabytes_is_refused(checkpoint: Path) -> None:
    """Before it is read."""
    huge = with_pickle(checkpoint, lambda _: b"\x80\x04" + b"N0" * (3 * 2**20) + b".")

    assert "larger" in assert_refused(huge)


def test_a_big_endian_file_is_refused(checkpoint: Path) -> None:
    """Its floats would be read the wrong way round."""
    big = rewritten(checkpoint, lambda name, content: b"big" if name.endswith("byteorder") else content)

    assert "big-endian" in assert_refused(big)


def test_state_outside_the_weights_is_refused(tmp_path: Path) -> None:
    """Where some models of RecBole pickle whole modules of code."""
    shape = architecture()
    path = write_checkpoint(tmp_path / "x.pth", settings(shape), random_weights(shape), other_parameter={"a": 1})

    assert "outside its weights" in assert_refused(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty files, stumps, torch's old format, an empty zip."""
    path = tmp_path / "attack.pth"
    path.write_bytes(content)

    assert_refused(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The same error as for a file that is no checkpoint."""
    with pytest.raises(CorruptCheckpointError, match=r"give the \.pth file"):
        read_checkpoint(tmp_path / "none.pth")


def test_the_attacks_are_what_they_say() -> None:
    """Those that call something do call it, in a loader that trusts them."""
    calls: list[str] = []

    class Trusting(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            calls.append(f"{module}.{name}")
            return lambda *arguments: arguments

    Trusting(io.BytesIO(PICKLES["os.system by REDUCE"])).load()
    Trusting(io.BytesIO(PICKLES["GLOBAL of protocol 2"])).load()

    assert calls == ["os.system", "posix.system"]
    assert len(PICKLES) > 40
    assert [opcode.name for opcode, _, _ in pickletools.genops(PICKLES["INST"])][-2] == "INST"


def test_random_damage_is_refused_or_harmless(checkpoint: Path) -> None:
    """Bytes of the pickle changed, cut and doubled at random: a checkpoint error or a checkpoint, nothing else."""
    rng = random.Random(0)  # noqa: S311 - no secret
    refused = 0
    for _ in range(FUZZED):
        path = with_pickle(checkpoint, lambda content: _unframed(_damaged(content, rng)))
        try:
            read_checkpoint(path)
        except CheckpointError:
            refused += 1

    assert refused > FUZZED / 4


def _damaged(content: bytes, rng: random.Random) -> bytes:
    """A few random edits after the pickle's header and frame."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(11, len(damaged) - 1)
        edit = rng.randrange(4)
        if edit == 0:
            damaged[place] = rng.randrange(256)
        elif edit == 1:
            damaged[place] ^= 1 << rng.randrange(8)
        elif edit == 2:
            del damaged[place : place + rng.randint(1, 8)]
        else:
            damaged[place:place] = damaged[place : place + rng.randint(1, 40)]
    return bytes(damaged)
