"""Why: every part of a scenario file refuses what it does not know, and they all refuse it the same way."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown keys and silent conversions are errors; a model never changes after it was read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
