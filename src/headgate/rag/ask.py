"""Answers from documents: look up, tell the model what was found, check what it says, name the sources.

What is asked is the caller's and what is told is the documents': neither picks whose documents are searched, and no
tools are offered to the model. Every call of a model goes through the gate, and is a row of the ledger of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Protocol

from msgspec import structs

from headgate.core.asking import (
    CITATIONS,
    SOURCES,
    VENDOR,
    VERDICT,
    Evaluation,
    Grade,
    Question,
    Retrieved,
    Verdict,
)
from headgate.core.call import Call, Message, Prompt, TextPart
from headgate.core.entry import Entry
from headgate.core.events import Begin, Done, Extra, Receipt, Refusal, Text, Usage
from headgate.core.faults import Fault
from headgate.core.knowledge import Collection, Found, Origin, Results, Search
from headgate.core.principal import Principal
from headgate.core.seams import Events
from headgate.engine.gate import Gate
from headgate.rag import evaluating, rewriting, template
from headgate.rag.citing import Citing
from headgate.rag.prompt import chosen, quoted
from headgate.rag.recipe import Recipe
from headgate.rag.unknown import is_unknown

SUPPORTED = 0.5
"""An answer that is graded lower does not rest on its sources."""


class Searches(Protocol):
    """What finds passages. Whose they are is the caller's to say by who it is, and by nothing else."""

    async def search(self, who: Principal, wanted: Search, *, origin: Origin) -> Results:
        """The passages that fit best, best first. Raises Faults."""
        ...

    async def collections(self, who: Principal) -> Sequence[Collection]:
        """The caller's collections. Raises Unavailable."""
        ...


class Bill:
    """What the calls around an answer took, to be told with it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._start = time.monotonic()

    def total(self, entry: Entry) -> Entry:
        """The entry of the answer with everything else added. A price that is unknown leaves the sum unknown."""
        rows = [*self.entries, entry]
        costs = [row.cost for row in rows if row.cost is not None]
        return structs.replace(
            entry,
            tokens_in=sum(row.tokens_in for row in rows),
            tokens_out=sum(row.tokens_out for row in rows),
            cached=sum(row.cached for row in rows),
            reasoning=sum(row.reasoning for row in rows),
            cost=sum(costs) if len(costs) == len(rows) else None,
            estimated=any(row.estimated for row in rows),
            total_ms=(time.monotonic() - self._start) * 1000,
        )


class Asker:
    """Answers questions from documents."""

    def __init__(self, gate: Gate, searches: Searches) -> None:
        self._gate = gate
        self.searches = searches

    async def ask(self, who: Principal, call: Call, question: Question, recipe: Recipe) -> Events:
        """The events of an answer; its sources come before its words, citations and verdict after them.

        `call` says who wants it how: model, bounds, stream. The Receipt is of all calls together. Raises Faults.
        """
        bill = Bill()
        await self._gate.admission.check(who, call)  # nobody over a limit has Headgate search
        query: str = question.text
        found: Sequence[Found] = ()
        if (where := await self._within(who, question, recipe)) is not None:
            query = await self.query(who, call, where, bill)
            found = await self.search(who, call, where, query, bill)
        sources, dropped = chosen(found, recipe.context_tokens)
        retrieved = Retrieved(sources, dropped, query)
        if not sources:
            opened, entry = await self._gate.unasked(who, call)
            yield opened
            yield Extra(VENDOR, SOURCES, retrieved)
            yield Text(recipe.unknown)
            yield Extra(VENDOR, CITATIONS, ())
            yield Done("stop")
            yield Extra(VENDOR, VERDICT, Verdict(answered=False, grounded=False))
            yield Receipt(bill.total(entry))
            return
        answering = _Answering(self._gate, who, call, retrieved, recipe, bill)
        async with aclosing(answering.events(question)) as events:
            async for event in events:
                yield event

    async def _within(self, who: Principal, question: Question, recipe: Recipe) -> Question | None:
        """The question, in those of a recipe's collections that the caller has; None where that is none of them."""
        if not recipe.collections or question.collections != recipe.collections:
            return question
        own = {each.name for each in await self.searches.collections(who)}
        there = tuple(name for name in recipe.collections if name in own)
        return structs.replace(question, collections=there) if there else None

    async def query(self, who: Principal, call: Call, question: Question, bill: Bill) -> str:
        """What is looked up: the question, made to stand by itself where it follows others. Raises Faults."""
        if not question.history:
            return question.text
        asked = aside(call, "rewrite", rewriting.prompt(question.text, question.history), rewriting.TOKENS)
        _, reply = await self._gate.reply(who, asked)
        assert reply.entry is not None  # noqa: S101 - the gate's promise
        bill.entries.append(reply.entry)
        return rewriting.question_of(reply.text, question.text)

    async def search(self, who: Principal, call: Call, question: Question, query: str, bill: Bill) -> Sequence[Found]:
        """The passages near enough to be sources. Raises Faults."""
        wanted = Search(
            text=query,
            collections=question.collections,
            k=question.top_k,
            mode=question.mode,
            filter=question.filter,
            min_similarity=question.min_similarity,
        )
        origin = Origin(call.id, call.address, f"{call.surface}.search", bill.entries.append)
        results = await self.searches.search(who, wanted, origin=origin)
        return results.found


class _Answering:
    """One answer, once there are sources for it."""

    def __init__(
        self, gate: Gate, who: Principal, call: Call, retrieved: Retrieved, recipe: Recipe, bill: Bill
    ) -> None:
        self._gate = gate
        self._who = who
        self._call = call
        self._retrieved = retrieved
        self._recipe = recipe
        self._bill = bill
        self._citing = Citing({source.n for source in retrieved.sources})

    async def events(self, question: Question) -> Events:
        """The model's answer, checked."""
        call, query, sources = self._call, self._retrieved.query, self._retrieved.sources
        values = {
            **question.inputs,
            template.QUESTION: query,
            template.SOURCES: quoted(sources),
            template.UNKNOWN: self._recipe.unknown,
        }
        asked = made(call, template.filled(self._recipe.template(), values), call.max_tokens, call.prompt.temperature)
        asked.stream = call.stream or question.evaluate  # the judge begins when the model does
        judging: asyncio.Task[Grade] | None = None
        try:
            async with aclosing(self._gate.answer(self._who, asked)) as events:
                yield await anext(events)
                yield Extra(VENDOR, SOURCES, self._retrieved)
                if question.evaluate:
                    judging = asyncio.create_task(self._graded("relevance", evaluating.relevance(query, sources)))
                async with aclosing(checked(events, self._citing)) as words:
                    async for event in words:
                        if isinstance(event, Receipt):
                            receipt = event
                        else:
                            yield event
            yield Extra(VENDOR, CITATIONS, tuple(self._citing.citations))
            yield Extra(VENDOR, VERDICT, await self._verdict(query, judging))
            yield Receipt(self._bill.total(receipt.entry))
        finally:
            if judging is not None:
                judging.cancel()
                with suppress(asyncio.CancelledError):
                    await judging

    async def _verdict(self, query: str, judging: asyncio.Task[Grade] | None) -> Verdict:
        cited = bool(self._citing.citations)
        answered = not is_unknown(self._citing.text, self._recipe.unknown, cited=cited)
        evaluation = None
        if judging is not None:
            asked = evaluating.support(query, self._retrieved.sources, self._citing.text)
            support = await self._graded("support", asked) if answered else Grade(None, "there is no answer to grade")
            evaluation = Evaluation(await judging, support)
        score = evaluation.answer_support.score if evaluation is not None else None
        supported = score is None or score >= SUPPORTED
        return Verdict(answered=answered, grounded=answered and cited and supported, evaluation=evaluation)

    async def _graded(self, step: str, prompt: str) -> Grade:
        """What the judge says. A judge that fails is a grade that is not there, and never the answer's failure."""
        asked = aside(self._call, step, prompt, evaluating.TOKENS, self._recipe.judge)
        try:
            _, reply = await self._gate.reply(self._who, asked)
        except Fault as fault:
            return Grade(None, fault.message)
        if reply.entry is not None:
            self._bill.entries.append(reply.entry)
        return evaluating.grade_of(reply.text)


async def checked(events: Events, citing: Citing) -> Events:
    """An answer's events with its marks checked. Nothing but words is passed on: nobody offered the model a tool."""
    async for event in events:
        match event:
            case Text(choice=0):
                words = citing.feed(event.text)
                if words:
                    yield Text(words)
            case Done(choice=0):
                rest = citing.close()
                if rest:
                    yield Text(rest)
                yield event
            case Begin() | Usage() | Refusal() | Receipt():
                yield event


def made(call: Call, prompt: str | Sequence[Message], max_tokens: int | None, temperature: float | None = None) -> Call:
    """A call of its own on behalf of another, in no dialect: providers then tell all of their words as Text."""
    said = (Message("user", (TextPart(prompt),)),) if isinstance(prompt, str) else tuple(prompt)
    meant = Prompt(messages=said, max_tokens=max_tokens, temperature=temperature)
    return Call(
        model=call.model,
        understand=lambda _: meant,
        max_tokens=max_tokens,
        id=call.id,
        surface=call.surface,
        address=call.address,
        deadline=call.deadline,
        reuse=call.reuse,
    )


def aside(call: Call, step: str, prompt: str, max_tokens: int, model: str = "") -> Call:
    """A call that helps with another; in the ledger its surface says with what."""
    asked = made(call, prompt, max_tokens)
    asked.model = model or call.model
    asked.surface = f"{call.surface}.{step}"
    return asked
