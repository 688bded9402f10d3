"""How versions are named: `digits`, `digits/3`, `digits@knee`, with or without `models:/`."""

import pytest

from sparsweep.search.model_address import ModelAddress, resolve
from sparsweep.search.with_mlflow import Registry, prepare_store


@pytest.mark.parametrize(
    ("text", "model", "version", "alias"),
    [
        ("digits", "digits", None, None),
        ("models:/digits", "digits", None, None),
        ("digits/3", "digits", "3", None),
        ("models:/digits/03", "digits", "3", None),
        ("digits@knee", "digits", None, "knee"),
        ("models:/my digits.v2@most-accurate", "my digits.v2", None, "most-accurate"),
    ],
)
def test_every_form_is_read(text: str, model: str, version: str | None, alias: str | None) -> None:
    address = ModelAddress.parse(text)
    assert address == ModelAddress(model=model, version=version, alias=alias)
    assert ModelAddress.parse(str(address)) == address
    assert address.names_version == (model != text.removeprefix("models:/"))


@pytest.mark.parametrize(
    "text", ["", "models:/", "digits/", "digits/x", "digits@", "digits/3@knee", "a/b/3", "runs:/1/model", "a'b", "a\nb"]
)
def test_what_is_none_of_them_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a model: write NAME, NAME/3 or NAME@ALIAS, with or without models:/"):
        ModelAddress.parse(text)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """One model, `digits`, with versions 1 and 2; `knee` is 1."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    prepare_store(uri)
    registry = Registry.open(tracking_uri=uri)
    run = registry.client.create_run(registry.client.create_experiment("e"))
    registry.client.create_registered_model("digits")
    for _ in range(2):
        registry.client.create_model_version("digits", folder.as_uri(), run.info.run_id)
    registry.client.set_registered_model_alias("digits", "knee", "1")
    return registry


@pytest.mark.parametrize(("text", "version"), [("digits/2", "2"), ("digits@knee", "1"), ("models:/digits/1", "1")])
def test_an_address_is_resolved(text: str, version: str, registry: Registry) -> None:
    assert resolve(registry, ModelAddress.parse(text)).version == version


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digit@knee", "no registered model digit; there is digits"),
        ("digits/3", r"there is no models:/digits/3; digits has versions 1, 2, aliases knee"),
        ("digits@kne", r"there is no models:/digits@kne; did you mean knee\?; digits has versions 1, 2"),
        ("digits", r"models:/digits names no version: add one, as in models:/digits@knee; it has versions 1, 2"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(text: str, message: str, registry: Registry) -> None:
    with pytest.raises(ValueError, match=message):
        resolve(registry, ModelAddress.parse(text))
