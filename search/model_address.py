"""How a registered version is named: `digits`, `digits/3`, `digits@knee`, each also behind `models:/` as in MLflow."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparsweep.spaces.faults import nearest, shown

if TYPE_CHECKING:
    from sparsweep.search.with_mlflow import ModelVersionInfo, Registry

_ADDRESS = re.compile(r"(?:models:/)?(?P<model>[\w. -]+)(?:/(?P<version>[0-9]{1,9})|@(?P<alias>[\w.-]+))?")


@dataclass(frozen=True, kw_only=True)
class ModelAddress:
    """A model by name, or one version of it by number or by alias."""

    model: str
    version: str | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelAddress":
        """What the text names. Raises ValueError where it is none of the forms."""
        if (found := _ADDRESS.fullmatch(text)) is None:
            raise ValueError(
                f"{shown(text)} is not a model: write NAME, NAME/3 or NAME@ALIAS, with or without models:/ before it "
                "(a name has letters, digits, spaces and . - _ only)"
            )
        version = found["version"]
        return cls(model=found["model"], version=version and (version.lstrip("0") or "0"), alias=found["alias"])

    @property
    def names_version(self) -> bool:
        """Whether it names one version rather than the model."""
        return self.version is not None or self.alias is not None

    def __str__(self) -> str:
        part = f"/{self.version}" if self.version else f"@{self.alias}" if self.alias else ""
        return f"models:/{self.model}{part}"


def resolve(registry: "Registry", address: ModelAddress) -> "ModelVersionInfo":
    """The version that an address names.

    Raises:
        ValueError: there is no such model (near names are given), version or alias; or the address names no version.
    """
    versions = registry.versions(address.model)
    found = [info for info in versions if info.version == address.version or address.alias in info.aliases]
    if found:
        return found[-1]
    aliases = sorted(alias for info in versions for alias in info.aliases)
    numbers = [info.version for info in versions]
    there = f"versions {', '.join(numbers) or 'none'}, aliases {', '.join(aliases) or 'none'}"
    if not address.names_version:
        raise ValueError(f"{address} names no version: add one, as in {address}@knee; it has {there}")
    near = nearest(address.alias, aliases) if address.alias else ""
    raise ValueError(f"there is no {address}{near}; {address.model} has {there}")
