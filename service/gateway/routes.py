"""Which paths there are: an allow-list. Whatever else vLLM serves is not reachable."""

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from service.core.surfaces import BY_PATH
from service.core.surfaces.shape import Surface
from service.errors import MethodNotAllowed, ModelNotFound, NotFound
from service.gateway.asgi import Header, Scope

_MODELS = "/v1/models"
_NO_PREFLIGHT = " A browser's page may call where gateway.cors in the settings names its origin."


@dataclass(frozen=True, slots=True)
class ModelList:
    """GET /v1/models, or one of them."""

    only: str | None = None

    def answer(self, models: Collection[str], headers: list[Header]) -> tuple[list[Header], bytes]:
        """Return the answer's headers and body; `models` are those that the caller may use.

        Raises:
            ModelNotFound: there is no such model.
        """
        if self.only is None:
            found: object = {"object": "list", "data": [_entry(name) for name in models]}
        elif self.only in models:
            found = _entry(self.only)
        else:
            raise ModelNotFound(f"There is no model {self.only[:128]!r}.", param="model")
        return [*headers, (b"content-type", b"application/json")], msgspec.json.encode(found)


def _entry(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "watchgate"}


def route(scope: Scope) -> Surface | ModelList:
    """Return what a path stands for.

    A surface's path has one spelling: whoever guards paths before the gateway sees what it sees.

    Raises:
        NotFound, MethodNotAllowed: nothing, or not for this method.
    """
    path: str = scope["path"]
    method: str = scope["method"]
    surface = BY_PATH.get(path)
    if surface is not None and b"%" not in scope.get("raw_path", b""):
        if method != "POST":
            raise _not_allowed(path, method, "POST")
        return surface
    if path == _MODELS or path.startswith(_MODELS + "/"):
        if method != "GET":
            raise _not_allowed(_MODELS, method, "GET")
        return ModelList(path[len(_MODELS) + 1 :] or None)
    raise NotFound(f"There is nothing at {path[:128]}.")


def _not_allowed(path: str, method: str, allow: str) -> MethodNotAllowed:
    words = f"{path} takes {allow}, not {method[:16]}."
    if method == "OPTIONS":
        words += _NO_PREFLIGHT
    return MethodNotAllowed(words, allow=allow)
