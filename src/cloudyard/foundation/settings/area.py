"""What the areas of the settings have in common."""

from pydantic import BaseModel, ConfigDict


class Area(BaseModel):
    """Part of the settings. A name that it does not know is refused: a slip of the pen must not go unnoticed."""

    model_config = ConfigDict(extra="forbid")
