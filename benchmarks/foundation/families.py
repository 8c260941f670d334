"""The packages whose models are compared with their conversions."""

from dataclasses import dataclass

from benchmarks.peers.environment import NEQUIX, SEVENN, Peer
from equipot.convert.sources import NEQUIX as NEQUIX_MODELS


@dataclass(frozen=True)
class Family:
    """A package, its name in tables, and its models with the modality that is compared."""

    title: str
    peer: Peer
    models: dict[str, str | None]

    @property
    def worker(self) -> str:
        return f"benchmarks.foundation.{self.peer.package}_worker"


FAMILIES = {
    "sevenn": Family("SevenNet", SEVENN, {"7net-0": None, "7net-l3i5": None, "7net-mf-0": "PBE"}),
    "nequix": Family("Nequix", NEQUIX, dict.fromkeys(NEQUIX_MODELS)),
}
