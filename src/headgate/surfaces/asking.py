"""Questions to documents: `/ask`, `/ask/stream`, `/generate` with context, and recipes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from headgate.core.call import Call, Reuse
from headgate.core.faults import NotFound
from headgate.core.principal import Principal
from headgate.core.seams import Events
from headgate.dialects.asking import GENERATE, Generate, Shape
from headgate.rag.recipe import Recipe
from headgate.runtime import Runtime
from headgate.surfaces.depends import Caller, Running
from headgate.surfaces.edge import Edge, Endpoint, Handler, Receive, Scope, Send
from headgate.surfaces.said import named, told
from headgate.surfaces.schemas_asking import RecipeList
from headgate.surfaces.wishes import reuse_of

__all__ = ["GENERATE", "RECIPE", "asking", "generating", "recipe_handler", "router"]

RECIPE = "/recipes/{name}"

router = APIRouter(tags=["knowledge"], generate_unique_id_function=named)


def asking(max_chars: int, *, stream: bool | None = None) -> Endpoint:
    """The endpoint of `/ask`, or the one that always streams."""
    shape = Shape(max_chars=max_chars)

    async def ask(runtime: Runtime, who: Principal, call: Call) -> Events:
        return answer(runtime, who, call, runtime.recipes[""], shape)

    return Endpoint("ask", "simple", shape.parse, shape.writer, shape.whole, stream=stream, ask=ask)


def generating(shape: Generate) -> Endpoint:
    """The endpoint of `/generate`."""

    async def ask(runtime: Runtime, who: Principal, call: Call) -> Events | None:
        if not call.fields.get("use_context"):
            return None
        return answer(runtime, who, call, runtime.recipes[""], shape)

    return Endpoint("generate", "simple", shape.parse, shape.writer, shape.whole, stream=False, ask=ask)


def baking(recipe: Recipe, max_chars: int) -> Endpoint:
    """The endpoint of a recipe."""
    shape = Shape(own=False, inputs=recipe.inputs, max_chars=max_chars)

    async def ask(runtime: Runtime, who: Principal, call: Call) -> Events:
        if recipe.cache is not None:
            call.reuse = reuse_of(_caching(call.headers), Reuse(max_age=recipe.cache))
        return answer(runtime, who, call, recipe, shape)

    name = f"recipes.{recipe.name}"
    return Endpoint(name, "simple", shape.parse, shape.writer, shape.whole, forwarded=_kept, ask=ask)


def _kept(headers: dict[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in ("cache-control",) if name in headers}


def _caching(headers: dict[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode("latin-1") for name, value in headers.items()}


def answer(runtime: Runtime, who: Principal, call: Call, recipe: Recipe, shape: Shape | Generate) -> Events:
    """The events of an answer by a recipe."""
    question = shape.question(call.fields, recipe.defaults)
    call.model = call.model or recipe.model
    call.max_tokens = call.max_tokens or recipe.max_tokens
    return runtime.asker.ask(who, call, question, recipe)


def recipe_handler(runtime: Runtime, edge: Edge) -> Handler:
    """The handler of all recipes: those of the configuration as it is when a request comes."""
    most = runtime.config.server.max_prompt_chars

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].rpartition("/")[2]
        recipe = runtime.recipes.get(name) if name else None
        endpoint = _MISSING if recipe is None else baking(recipe, most)
        await edge.handler(endpoint)(scope, receive, send)

    return handle


def _missing(_fields: dict[str, Any], _body: bytes) -> Call:
    raise NotFound("there is no such recipe here; GET /recipes lists them")


_SHAPE = Shape(own=False)
RECIPES = Endpoint("recipes", "simple", _SHAPE.parse, _SHAPE.writer, _SHAPE.whole)
"""What the documentation shows of recipes."""

_MISSING = Endpoint("recipes", "simple", _missing, _SHAPE.writer, _SHAPE.whole)


@router.get("/recipes", summary="List the recipes", **told(RecipeList))
async def recipes(who: Caller, runtime: Running) -> dict[str, Any]:
    """The recipes that the caller may use: what each is for, what it is asked with and where it looks."""
    admission = runtime.admission
    tier = admission.tier_of(who)
    found = [recipe for name, recipe in sorted(runtime.recipes.items()) if name]
    return {"recipes": [_told(each) for each in found if not each.model or admission.may_use(who, tier, each.model)]}


def _told(recipe: Recipe) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "description": recipe.description,
        "inputs": list(recipe.inputs),
        "collections": list(recipe.collections),
        "model": recipe.model or None,
        "evaluate": recipe.evaluate,
        "top_k": recipe.top_k,
        "min_similarity": recipe.min_similarity,
        "max_tokens": recipe.max_tokens,
        "cache": recipe.cache,
    }
