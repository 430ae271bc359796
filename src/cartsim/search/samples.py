"""Why: a search of hours must survive a power cut. Every sample that was drawn is kept in a small file, and is read
instead of drawn when the search is run again, also with another confidence or another indifference: what the sample
holds depends on candidate and subjects alone.
"""

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cartsim.store.place import Place

Floats = NDArray[np.float64]
FOLDER = "samples"


class Samples:
    """Samples in a place, one file for each (candidate, first subject, number of subjects); columns by objective."""

    def __init__(self, place: Place, columns: Sequence[str]) -> None:
        self.place = place
        self.columns = list(columns)
        self._there = set(place.names(FOLDER, ".parquet"))

    def find(self, candidate: int, first: int, count: int) -> Floats | None:
        """(count, columns) as stored; None where there is no such file, or not with every column, or a broken one."""
        name = _name(candidate, first, count)
        data = self.place.find(name) if name in self._there else None
        if data is None:
            return None
        try:
            table = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
        except (OSError, pa.ArrowException):
            return None
        if table.num_rows != count or not set(self.columns) <= set(table.column_names):
            return None
        return np.column_stack([table[name].to_numpy() for name in self.columns])

    def keep(self, candidate: int, first: int, values: Floats) -> None:
        """Store a sample (count, columns)."""
        name = _name(candidate, first, len(values))
        sink = io.BytesIO()
        table = pa.table({column: values[:, place] for place, column in enumerate(self.columns)})
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        self.place.write_bytes(name, sink.getvalue())
        self._there.add(name)


def _name(candidate: int, first: int, count: int) -> str:
    return f"{FOLDER}/{candidate:05d}-{first:08d}-{count}.parquet"
