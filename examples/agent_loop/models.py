"""Models by name."""

from functools import cache

from .conversation import Model
from .offline import OfflineModel

BEDROCK = "bedrock:"


@cache
def model_named(name: str) -> Model:
    """`offline`, or `bedrock:` and the id of a model or an inference profile.

    Raises:
        ValueError: for another name.
    """
    if name == "offline":
        return OfflineModel()
    if name.startswith(BEDROCK):
        from .bedrock import BedrockModel  # noqa: PLC0415 - brings boto3 along, which the offline model does not need

        return BedrockModel(name.removeprefix(BEDROCK))
    raise ValueError(f"there is no model {name!r}: give 'offline' or '{BEDROCK}<id>'")
