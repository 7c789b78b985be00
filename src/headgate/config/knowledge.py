"""What an operator says of document search: how documents are read, and where their vectors are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from headgate.config.sections import Section, known_scheme
from headgate.config.values import Duration, Hidden, Size, text_of

IndexKind = Literal["sqlite", "pgvector", "qdrant", "chroma", "pinecone"]


class IndexServer(Section):
    """A server that keeps vectors."""

    url: Hidden = Field(
        None,
        description="Its address: of pgvector a database `postgresql://…` (default: the one of `[store]`), of the "
        "others `https://…`; of Pinecone the index's own host.",
    )
    api_key: Hidden = Field(None, description="Its key, where it wants one.")

    @model_validator(mode="after")
    def _known_scheme(self) -> IndexServer:
        if url := text_of(self.url):
            known_scheme(url, "http", "https", "postgresql", "postgres")
        return self


class Knowledge(Section):
    """Document search."""

    embedder: str = Field(
        "",
        description="What makes vectors: a public model or `provider/model`; `local` for the one in `model_folder`; "
        "empty: search by words alone.",
    )
    model_folder: str = Field(
        "", description="Folder of a local embedding model: `tokenizer.json` and `model.onnx` or `model.safetensors`."
    )
    index: Literal["", IndexKind] = Field(
        "",
        description="Where vectors are searched: `sqlite`, `pgvector`, `qdrant`, `chroma`, `pinecone`; empty: in "
        "the database of `[store]`, `sqlite` or `pgvector`.",
    )
    indexes: dict[str, IndexKind] = Field({}, description="Collections, by their names, that are in another index.")
    pgvector: IndexServer = Field(IndexServer(), description="PostgreSQL with pgvector, if not that of `[store]`.")
    qdrant: IndexServer = Field(IndexServer(), description="Qdrant.")
    chroma: IndexServer = Field(IndexServer(), description="Chroma.")
    pinecone: IndexServer = Field(IndexServer(), description="Pinecone.")
    chunk_chars: int = Field(1000, ge=200, le=8000, description="Longest passage, in characters.")
    hands: int = Field(2, ge=1, le=64, description="Documents that one process reads at a time.")
    read_timeout: Duration = Field(60.0, description="How long reading one file may take.")
    read_memory: Size = Field(1024 * 2**20, description="Memory that reading one file may take.")
    max_pages: int = Field(2000, ge=1, description="Most pages of a PDF.")
    max_text_chars: int = Field(10_000_000, ge=1000, description="Most characters of text in one document.")
