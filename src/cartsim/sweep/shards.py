"""Why: a batch system that starts the same command n times (a SLURM array, an indexed job) needs no scheduler of ours:
each command takes every n-th block of the same plan, and the blocks of all of them are the run."""

import re
from dataclasses import dataclass

from cartsim.errors import InvalidInput

#: The number that the batch system gives each command, counted from 0.
HOW = "--shard $SLURM_ARRAY_TASK_ID/8 with sbatch --array=0-7, or --shard $JOB_COMPLETION_INDEX/8 in an indexed job"


@dataclass(frozen=True)
class Shard:
    """One of `count` equal parts of a run; `index` counts from 0."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def owns(self, number: int) -> bool:
        """True when the block of this number is ours. Neighbours go to different shards, so that load is even."""
        return number % self.count == self.index


def parse_shard(text: str) -> Shard:
    """Read `i/n`, 0 <= i < n. Raises `InvalidInput` for anything else."""
    found = re.fullmatch(r"\s*([0-9]+)\s*/\s*([0-9]+)\s*", text)
    if found is None:
        raise InvalidInput(
            f"shard '{text}' is not of the form i/n", why="such as 0/8, the first of eight", mend=HOW
        )
    index, count = int(found[1]), int(found[2])
    if index >= count:
        why = (
            f"shards of {count} are numbered 0 to {count - 1}"
            if count
            else "there must be at least one shard"
        )
        raise InvalidInput(f"there is no shard {index} of {count}", why=why, mend=HOW)
    return Shard(index, count)
