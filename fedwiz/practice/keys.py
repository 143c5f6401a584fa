"""The simulated etcd: two independent stores."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedwiz.model.actions import PutKey, Value


@dataclass
class EtcdKeys:
    """etcd's version and contents; whether it runs is up to its unit."""

    version: str
    v2: bool
    """Whether it serves the v2 API."""

    v3: bool = True
    revision: int = 1
    stored: Mapping[str, dict[str, Value]] = field(default_factory=lambda: {"v2": {}, "v3": {}})

    def serves(self, api: str) -> bool:
        """Whether this API is available."""
        return self.v2 if api == "v2" else self.v3

    def get(self, api: str, key: str) -> Value | None:
        """The key's value."""
        return self.stored[api].get(key)

    def under(self, api: str, prefix: str) -> tuple[Value, ...]:
        """All keys below a prefix, sorted."""
        below = f"{prefix.rstrip('/')}/"
        values = self.stored[api]
        return tuple(values[key] for key in sorted(values) if key.startswith(below))

    def set(self, api: str, key: str, text: str, ttl: int | None = None) -> None:
        """Write a key unconditionally."""
        self.revision += 1
        self.stored[api][key] = Value(key, text, self.revision, ttl)


class PracticeStore:
    """A `Store` of the simulated etcd."""

    def __init__(self, keys: EtcdKeys, api: str) -> None:
        self._keys = keys
        self._api = api

    @property
    def api(self) -> str:
        """`v2` or `v3`."""
        return self._api

    async def get(self, key: str) -> Value | None:
        """See `Store.get`."""
        return self._keys.get(self._api, key)

    async def under(self, prefix: str) -> tuple[Value, ...]:
        """See `Store.under`."""
        return self._keys.under(self._api, prefix)

    async def put(self, put: PutKey) -> bool:
        """See `Store.put`."""
        current = self._keys.get(self._api, put.key)
        if (current.revision if current else None) != put.previous:
            return False
        if put.value is None:
            del self._keys.stored[self._api][put.key]
        else:
            self._keys.set(self._api, put.key, put.value)
        return True
