"""Every seam, on one page: what others may implement. Each has a contract suite in `tests/contracts`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from headgate.core.call import Call, Clocks
from headgate.core.embedding import EmbedCall, Embedded
from headgate.core.entry import Entry
from headgate.core.events import Event
from headgate.core.key import KeyRecord
from headgate.core.knowledge import (
    Collection,
    Document,
    Draft,
    Hit,
    Job,
    Kept,
    Near,
    Passage,
    Piece,
    Room,
    Scope,
    State,
    Vector,
)
from headgate.core.limit import Level, Want
from headgate.core.principal import Principal

Events = AsyncGenerator[Event, None]
Chunks = AsyncGenerator[bytes, None]


class Provider(Protocol):
    """Somewhere to ask."""

    def events(self, call: Call) -> Events:
        """Ask, and say what comes back. Raises Faults; closing the generator hangs up on the upstream at once."""
        ...


class Answerer(Protocol):
    """A Provider that can also give a whole answer at once, which is cheaper than a stream of one piece."""

    async def answer(self, call: Call) -> Sequence[Event]:
        """All events of the answer. Raises Faults; cancelling it hangs up on the upstream."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """A Provider that can also turn texts into vectors."""

    async def embed(self, call: EmbedCall) -> Embedded:
        """One vector for each input. Raises Faults; Unsupported, naming the feature, for what the vendor cannot do."""
        ...


@runtime_checkable
class Counter(Protocol):
    """A Provider that can also count the tokens of a prompt, without answering it."""

    async def count(self, call: Call) -> int:
        """The tokens of the call's prompt, tools and all. Raises Faults."""
        ...


class Reader(Protocol):
    """Pure, made for one answer: an upstream's bytes, split anywhere, become events."""

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Take the next bytes. Raises an UpstreamFault where the upstream reports one or talks nonsense."""
        ...

    def close(self) -> Iterable[Event]:
        """The upstream ended. Raises UpstreamBroken if the answer was not finished."""
        ...


class Passer(Reader, Protocol):
    """A Reader of what is passed on that can tell, before it is fed, which bytes matter to nobody but the caller."""

    def passes(self, chunk: bytes) -> bool:
        """Whether the bytes are a whole event that only has words in it: `feed` would say one Verbatim of them."""
        ...


class Writer(Protocol):
    """Pure, made for one answer: events become the bytes of the caller's stream."""

    def feed(self, event: Event) -> bytes:
        """The bytes for one event (none: empty). The Receipt, always last, closes the stream."""
        ...

    def fail(self, error: bytes) -> bytes:
        """The frame for a rendered error body, after which nothing comes; it never looks like an end."""
        ...


class Ask(Struct, frozen=True, kw_only=True):
    """One HTTP request to an upstream; `path` is appended to the provider's base URL. For `relay` see `Wire.chunks`."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    stream: bool = False
    method: str = "POST"
    relay: Callable[[bytes], bool] | None = None


class Answered(Exception):
    """The upstream answered with a status other than 2xx; the provider turns it into a Fault."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


class Wire(Protocol):
    """Owns the sockets to one upstream, their pool and their clocks."""

    def chunks(self, ask: Ask, clocks: Clocks, deadline: float) -> Chunks:
        """The body of a 2xx answer, as it arrives, decompressed. `deadline` is a `time.monotonic()` second.

        The relay may be offered a read once all before it were taken; one that it takes is no item.
        Raises Answered for another status, UpstreamDown, UpstreamTimeout, UpstreamBroken.
        """
        ...

    async def fetch(self, ask: Ask, clocks: Clocks, deadline: float) -> bytes:
        """The same body, whole."""
        ...

    async def aclose(self) -> None:
        """Close every pooled connection."""
        ...


class Refusal(Struct, frozen=True):
    """Nothing was taken. `levels` are those of all the rules; the refusing ones have a `retry_after` above 0."""

    levels: Sequence[Level]

    @property
    def worst(self) -> Level:
        """The rule that refuses for longest."""
        return max(self.levels, key=lambda level: (level.never, level.retry_after))


class Grant(Protocol):
    """What one `reserve` took. Settled exactly once; a grant that is lost with its process expires by itself."""

    @property
    def levels(self) -> Sequence[Level]:
        """How the rules stand with this grant in them."""
        ...

    def settle(self, actual: Mapping[str, int]) -> None:
        """Replace reserved amounts by actual ones (`{kind: amount}`) and free what is `concurrent`.

        0 gives back, more than was reserved is counted too, and a kind that is not named stays as reserved. What was
        used counts from the moment of reservation. A second call does nothing. Must not wait, so that no hang-up can
        skip it.
        """
        ...


class Limiter(Protocol):
    """Counts in sliding windows: no window of W seconds ever holds more than its limit by what `reserve` let in.

    All wants are taken in one atomic step, or none is; their keys differ. A want of 0 always fits, and so does one of
    less: it is an allowance on top of the limit, which ends with its window. What is `concurrent` has none.
    """

    async def reserve(self, wants: Sequence[Want]) -> Grant | Refusal:
        """Take them all, or none. Raises Overloaded or Unavailable where it cannot count."""
        ...

    async def levels(self, wants: Sequence[Want]) -> Sequence[Level]:
        """How the rules stand, taking nothing."""
        ...

    async def reset(self, wants: Sequence[Want]) -> None:
        """Forget what is counted under their keys: calls that run, and allowances on top, too. Raises Unavailable."""
        ...


class LedgerStore(Protocol):
    """Where entries are kept."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Insert all in one transaction, from any thread; an entry whose id is there already is left as it is.

        Raises Unavailable while the store is out of reach; any other exception means that an entry is at fault.
        """
        ...


class CacheStore(Protocol):
    """Keeps answers for a while, within its bounds. It may forget any of them at any time, and never raises."""

    async def get(self, key: str) -> bytes | None:
        """The value (UTF-8), or None where there is none, or the store is out of reach."""
        ...

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value for `ttl` seconds; one that is too large, or that cannot be kept, is not."""
        ...

    async def claim(self, key: str, holder: str, seconds: float) -> bool:
        """Whether `holder` may make the value now: nobody else has claimed the key. 0 seconds give the claim up.

        True too where nobody else could be asked.
        """
        ...


class KeyLookup(Protocol):
    """Finds the owner of an API key by the SHA-256 digest of its text."""

    def find(self, digest: bytes) -> Principal | None:
        """The principal, or None where no such key is valid now. Answers from memory."""
        ...


class KeySource(Protocol):
    """Where key records are kept, and where every process learns that some have changed. Used from worker threads."""

    def version(self) -> int:
        """A number that grows with every change; costs next to nothing."""
        ...

    def changed(self, since: int) -> Sequence[KeyRecord]:
        """The records made, changed or revoked after that version; all of them after 0."""
        ...


class Database(Protocol):
    """A SQL database, used from worker threads. SQL is written once, in what SQLite and PostgreSQL share, with `?`."""

    def run(self, *statements: tuple[str, Sequence[object]]) -> int:
        """Execute the statements in one transaction; the number of rows that the last one changed."""
        ...

    def many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute one statement for each row, in one transaction."""
        ...

    def inserts(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]], then: str = ""
    ) -> Iterable[tuple[str, Sequence[object]]]:
        """What `run` executes to insert many rows, as this database does it best; `then`: an ON CONFLICT clause."""
        ...

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class Shelf(Protocol):
    """Where collections are kept: documents, passages, words and vectors. Used from worker threads.

    Everything that it is told is in one transaction: a reader finds a document's old passages or its new ones. Every
    method may raise Unavailable, and NotFound for a collection or document that its tenant does not have.
    """

    def create(self, scope: Scope, model: str = "", dimension: int = 0) -> bool:
        """Make a collection whose vectors, if any, are of that model; False where there was one: it stays as it is."""
        ...

    def collections(self, tenant: str) -> list[Collection]:
        """The tenant's collections, by name."""
        ...

    def scopes(self) -> list[Scope]:
        """The collections of all tenants: for whoever looks after the service, and no caller."""
        ...

    def collection(self, scope: Scope) -> Collection:
        """One of them."""
        ...

    def bind(self, scope: Scope, who: Principal, model: str, dimension: int) -> None:
        """Forget all vectors, which are of another model from now on, and queue every document for new ones.

        Such a job's draft has no media and no body: its passages are what `pieces` tells.
        """
        ...

    def drop(self, scope: Scope) -> None:
        """Forget a collection and everything in it."""
        ...

    def queue(self, scope: Scope, who: Principal, drafts: Sequence[Draft], room: Room | None = None) -> list[Kept]:
        """Keep drafts, to be leased; their documents' old passages stay. Raises Forbidden where there is no room."""
        ...

    def put(
        self,
        scope: Scope,
        drafts: Sequence[tuple[Draft, str, Sequence[Piece]]],
        room: Room | None = None,
    ) -> list[Kept]:
        """Keep drafts whose text and passages are known already, which are ready at once."""
        ...

    def lease(self, owner: str, seconds: float, most: int) -> list[Job]:
        """Take documents that are queued, or whose lease has run out; `owner`, `HOST:PID:…`, may be seen to be dead."""
        ...

    def renew(self, job: Job, seconds: float) -> bool:
        """Hold a lease for longer; False where it is lost."""
        ...

    def known(self, scope: Scope, digests: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """The vectors that are there already, by the digests of their pieces."""
        ...

    def finish(self, job: Job, text: str, pieces: Sequence[Piece]) -> Sequence[str] | None:
        """Put the document's new passages in place of its old ones; the ids of those that are gone.

        None where the lease is lost: nothing is written.
        """
        ...

    def fail(self, job: Job, error: str, retry_after: float | None = None) -> None:
        """The document cannot be read; or, with `retry_after`, not yet: it is queued again for then.

        It keeps the job's number of tries: what was no real one can be taken back there.
        """
        ...

    def retry(self, scope: Scope, document_id: str) -> Document:
        """Queue a failed document again; any other stays as it is."""
        ...

    def documents(self, scope: Scope, state: State | None = None, after: str = "", limit: int = 100) -> list[Document]:
        """The documents whose id comes after that one, by their id."""
        ...

    def document(self, scope: Scope, document_id: str) -> Document:
        """One of them."""
        ...

    def text(self, scope: Scope, document_id: str) -> str:
        """What the document's passages are pieces of; empty before it is ready for the first time."""
        ...

    def pieces(self, scope: Scope, document_id: str) -> list[Piece]:
        """The document's passages in their order, without digests and vectors."""
        ...

    def remove(self, scope: Scope, document_id: str) -> Sequence[str]:
        """Forget a document and all its passages, whose ids are told."""
        ...

    def lexical(self, scope: Scope, words: Sequence[str], k: int, where: Mapping[str, Any]) -> list[Hit]:
        """The k passages that have the words best, any of them, whose document's metadata fits `where`."""
        ...

    def coverage(self, scope: Scope, words: Sequence[str], passage_ids: Sequence[str]) -> dict[str, float]:
        """How much of the words, weighted by their rarity in the collection, each passage has: from 0 to 1."""
        ...

    def passages(self, scope: Scope, passage_ids: Sequence[str]) -> dict[str, Passage]:
        """Those of the passages that are there, by their id."""
        ...

    def vectors(self, scope: Scope, passage_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """The vectors of those of the passages that have one, by their id."""
        ...


class VectorIndex(Protocol):
    """Finds the nearest passages of one collection. It can be built anew at any time from what the shelf keeps."""

    async def put(self, scope: Scope, vectors: Sequence[Vector]) -> None:
        """Add the vectors, in place of those with the same passage id. Raises Unavailable."""
        ...

    async def remove(self, scope: Scope, passage_ids: Sequence[str]) -> None:
        """Forget these passages; an unknown one is no error. Raises Unavailable."""
        ...

    async def drop(self, scope: Scope) -> None:
        """Forget the whole collection. Raises Unavailable."""
        ...

    async def nearest(self, scope: Scope, vector: Sequence[float], k: int, where: Mapping[str, Any]) -> Sequence[Near]:
        """The k nearest passages whose metadata fits `where`, nearest first. Raises Unavailable."""
        ...
