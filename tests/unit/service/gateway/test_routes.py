"""Which paths there are."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.surfaces import BY_PATH
from service.errors import MethodNotAllowed, ModelNotFound, NotFound
from service.gateway.exchange import ServedModel
from service.gateway.routes import ModelList, route

MODELS = dict.fromkeys(["a", "org/b"], cast("ServedModel", None))


def scope(method: str, path: str) -> dict[str, str]:
    return {"method": method, "path": path}


def test_every_surface_takes_post_at_its_path_and_nothing_else() -> None:
    for path, surface in BY_PATH.items():
        assert route(scope("POST", path)) is surface
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "post"):
            with pytest.raises(MethodNotAllowed) as refused:
                route(scope(method, path))
            assert refused.value.allow == "POST"


def test_models_are_got_as_a_list_or_by_name() -> None:
    assert route(scope("GET", "/v1/models")) == ModelList()
    assert route(scope("GET", "/v1/models/")) == ModelList()
    assert route(scope("GET", "/v1/models/org/b")) == ModelList("org/b")


@given(st.text(max_size=40))
def test_any_other_path_is_not_found(path: str) -> None:
    if path not in BY_PATH and not path.startswith("/v1/models"):
        with pytest.raises(NotFound):
            route(scope("POST", path))


def test_a_model_that_is_not_registered_is_not_found() -> None:
    headers, body = ModelList("org/b").answer(MODELS, [(b"x", b"y")])
    assert b'"id":"org/b"' in body
    assert (b"x", b"y") in headers
    with pytest.raises(ModelNotFound):
        ModelList("b").answer(MODELS, [])
