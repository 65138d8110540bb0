from collections.abc import Callable, Sequence
from typing import Any

from aiokafka.structs import ConsumerRecord

_Record = ConsumerRecord[bytes, bytes]

class Records(Sequence[_Record]):
    def __len__(self) -> int: ...
    def __getitem__(self, place: Any) -> Any: ...
    @property
    def bytes(self) -> int: ...
    def __init__(self, topic: str, partition: int, make_record: Callable[..., _Record]) -> None: ...
    def add(
        self,
        payload: bytes,  # type: ignore[valid-type]
        count: int,
        base_offset: int,
        first_time: int,
        last_time: int,
        is_append_time: bool,
        from_offset: int,
    ) -> None: ...

def batches(data: bytes) -> list[tuple[int, int, int, int, int, int, int, int, int]] | None: ...
def seal_all(version: int, packed: dict[bytes, bytes]) -> None: ...
def apply_all(
    versions: bytes, values: dict[bytes, bytes], changed: dict[bytes, bytes | None], taken: set[bytes]
) -> tuple[list[tuple[int, bytes]], int]: ...
