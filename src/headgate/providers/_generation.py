"""Generation with a model in this process, in a worker thread: nothing here touches the event loop.

Torch and transformers are imported when a model is loaded, not before.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from headgate.core.call import MediaPart, Message, Prompt, RefusalPart, TextPart
from headgate.core.events import Begin, Done, Event, Reason, Text, Usage
from headgate.core.faults import ContextTooLong, Unsupported, UpstreamMissing
from headgate.providers._stops import Words

_CANNOT = ("audio", "logit_bias", "prediction", "previous_response_id", "web_search_options")

log = logging.getLogger("headgate")


class Loaded(Struct, frozen=True):
    """A model in memory; `window` is the most tokens of a prompt and its answer, `ends` the ids that end an answer."""

    name: str
    model: Any
    tokenizer: Any
    window: int
    ends: frozenset[int]


def load(name: str, path: str, *, device: str, dtype: str, download: bool, chat_template: str) -> Loaded:
    """Read a model into memory; this takes as long as it takes. Raises UpstreamMissing.

    Weights are read from safetensors files alone, and no code that comes with a model is run.
    """
    try:
        import torch  # noqa: PLC0415 - the extra, needed only here
        import transformers  # noqa: PLC0415 - as above

        transformers.utils.logging.disable_progress_bar()
        source = {"local_files_only": not download, "trust_remote_code": False}
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **source)
        model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=dtype, use_safetensors=True, **source)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        model = model.to(device).eval()
    except (AssertionError, ImportError, OSError, RuntimeError, ValueError) as error:
        log.error("the model %s cannot be loaded: %s: %s", path, type(error).__name__, error)  # noqa: TRY400
        raise UpstreamMissing(f"the model {name} cannot be loaded here") from error
    if chat_template:
        tokenizer.chat_template = chat_template
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None) or tokenizer.model_max_length
    ends = model.generation_config.eos_token_id
    ends = tokenizer.eos_token_id if ends is None else ends
    return Loaded(name, model, tokenizer, window, frozenset([ends] if isinstance(ends, int) else ends or ()))


def check(prompt: Prompt) -> None:
    """Raise Unsupported, naming the feature, for what a model in this process is not asked."""
    for name in _CANNOT:
        if prompt.extra.get(name):
            raise Unsupported(f"models in this process do not support {name}", field=name)
    reasoning = prompt.reasoning
    wanted = {
        "modalities other than text": set(prompt.extra.get("modalities") or ()) - {"text"},
        "n above 1": (prompt.n or 1) > 1,
        "logprobs": prompt.logprobs or prompt.top_logprobs,
        "presence_penalty": prompt.presence_penalty,
        "frequency_penalty": prompt.frequency_penalty,
        "tools": prompt.tools,
        "response_format": prompt.format,
        "reasoning_effort": reasoning and (reasoning.budget or reasoning.effort not in {"", "none"}),
    }
    for name, is_wanted in wanted.items():
        if is_wanted:
            raise Unsupported(f"models in this process do not support {name}", field=name.partition(" ")[0])


def generate(loaded: Loaded, prompt: Prompt, most: int, put: Callable[[Event], bool]) -> None:
    """Answer, of at most `most` tokens, until `put` says that nobody listens. Raises ContextTooLong, Unsupported."""
    import torch  # noqa: PLC0415 - loaded by now

    ids = encoded(loaded, prompt)
    room = loaded.window - len(ids)
    if room < 1:
        raise ContextTooLong(f"the prompt has {len(ids)} tokens, and the model's window {loaded.window}")
    most = min(most, room)
    listener = _Listener(loaded, prompt, most, put)
    given = torch.tensor([ids], device=loaded.model.device)
    devices = [loaded.model.device] if loaded.model.device.type == "cuda" else []
    with torch.inference_mode(), torch.random.fork_rng(devices):
        # Torch starts every process with the same seed: without one of our own, answers would repeat.
        torch.manual_seed(secrets.randbits(63) if prompt.seed is None else prompt.seed % 2**63)
        loaded.model.generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=most,
            stopping_criteria=[listener],
            pad_token_id=next(iter(loaded.ends), 0),
            **_sampling(prompt),
        )
    if listener.heard:
        listener.close(len(ids))


def encoded(loaded: Loaded, prompt: Prompt) -> list[int]:
    """The token ids of the conversation, as the model's own template writes it. Raises Unsupported."""
    from jinja2 import TemplateError  # noqa: PLC0415 - comes with torch

    if not loaded.tokenizer.chat_template:
        raise Unsupported(f"{loaded.name} has no chat template: it was not made for conversations", field="model")
    said = [{"role": turn.role, "content": _words(turn)} for turn in prompt.messages]
    try:
        text = loaded.tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise Unsupported(f"{loaded.name} does not take such a conversation: {error}", field="messages") from None
    ids: list[int] = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _words(turn: Message) -> str:
    if turn.role == "tool" or any(isinstance(part, MediaPart) for part in turn.parts):
        raise Unsupported("models in this process take text, not tool results or media", field="messages")
    return "".join(part.text for part in turn.parts if isinstance(part, TextPart | RefusalPart))


def _sampling(prompt: Prompt) -> dict[str, Any]:
    """What the caller said about chance; the rest is as the model's makers set it."""
    if prompt.temperature == 0:
        return {"do_sample": False}
    said = {"temperature": prompt.temperature, "top_p": prompt.top_p, "top_k": prompt.top_k}
    given = {name: value for name, value in said.items() if value is not None}
    return given | {"do_sample": True} if given else {}


class _Listener:
    """Called with every new token, as one of the criteria by which generation stops."""

    def __init__(self, loaded: Loaded, prompt: Prompt, most: int, put: Callable[[Event], bool]) -> None:
        self.heard = True
        self._name = loaded.name
        self._ends = loaded.ends
        self._most = most
        self._put = put
        self._tokens = 0
        self._reason: Reason | None = None
        decode = loaded.tokenizer.decode
        self._words = Words(
            lambda ids: decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False), prompt.stop
        )

    def __call__(self, ids: Any, scores: Any, **_: Any) -> Any:  # noqa: ARG002 - the criteria's signature
        """Whether the answer ends here."""
        if self._reason is None and self.heard:
            self._take(int(ids[0, -1]))
        over = self._reason is not None or not self.heard
        return ids.new_full((1,), over, dtype=_bool())

    def _take(self, token: int) -> None:
        self._tokens += 1
        if self._tokens == 1:
            self.heard = self._put(Begin(model=self._name))
        if token in self._ends:
            self._reason = "stop"
            return
        self._say(self._words.feed(token))
        if self._words.stopped:
            self._reason = "stop"
        elif self._tokens >= self._most:
            self._reason = "length"

    def _say(self, text: str) -> None:
        if text and self.heard:
            self.heard = self._put(Text(text))

    def close(self, tokens_in: int) -> None:
        """The end of the answer: the words held back, what it took, why it ended."""
        self._say(self._words.close())
        self._put(Usage(tokens_in, self._tokens))
        stopped = self._words.stopped
        reason: Reason = "stop" if stopped else self._reason or "stop"
        self._put(Done(reason, stop_sequence=stopped))


def _bool() -> Any:
    import torch  # noqa: PLC0415 - loaded by now

    return torch.bool
