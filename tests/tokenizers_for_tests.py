"""Tiny tokenizers of the kinds that models use, built in memory: each encodes any text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import sentencepiece
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

LINES = [
    "Let x = 3. Then x + 1 = 4 (see above).\n\nSo the answer is 4.\n",
    "Wait, is that right?\n\nWait, yes (I think).\n\nTherefore:\n\nx = 4.\n\n",
    "We use \\(x = 3\\), e.g. $x^2 = 9$.\nThe sum is 12.\n</think>\n\nThe answer is 12.",
    "中文和日本語 😀 naïve\n\nnow 中文 again 😀.",
] * 4


class Characters:
    """A token is a code point."""

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))


class Bytes:
    """A token is a byte of UTF-8; bytes that form no character are shown as U+FFFD, or dropped."""

    def __init__(self, errors: str = "replace") -> None:
        self.errors = errors

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode(errors=self.errors)


@dataclass
class Pieces:
    """A token is one of `pieces`, for examples whose tokens are to be seen; decodes by `join`."""

    pieces: list[str] = field(default_factory=list)

    def encode(self, text: str) -> list[int]:
        return [self.pieces.index(text)] if text in self.pieces else []

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.pieces[i] for i in ids)


class CleanUp(Pieces):
    """Removes spaces before punctuation, as transformers does when asked to clean up."""

    def decode(self, ids: Sequence[int]) -> str:
        text = super().decode(ids)
        for written, cleaned in ((" .", "."), (" ,", ","), (" n't", "n't"), (" 's", "'s")):
            text = text.replace(written, cleaned)
        return text


class Backwards(Characters):
    """A decoder in which every token changes the text of all before it."""

    def decode(self, ids: Sequence[int]) -> str:
        return super().decode(ids)[::-1]


class Shouting(Characters):
    """A first "^" is not shown and makes capitals of all that follows, however far."""

    def decode(self, ids: Sequence[int]) -> str:
        text = super().decode(ids)
        return text[1:].upper() if text.startswith("^") else text


@dataclass
class Rust:
    """A tokenizer of the tokenizers library, raw."""

    tokenizer: tokenizers.Tokenizer

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))


@dataclass
class SentencePiece:
    """A model of the sentencepiece library, raw."""

    processor: sentencepiece.SentencePieceProcessor

    def encode(self, text: str) -> list[int]:
        return list(self.processor.encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.processor.decode(list(ids)))


@cache
def byte_level_bpe(vocab_size: int = 420) -> Rust:
    """As GPT-2 and Qwen: bytes, merged; a merge may join punctuation with the newlines that follow."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    words = tokenizers.Regex(r"[^\s\w]?\w+| ?[^\s\w]+\n*|\s*\n+|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    return Rust(tokenizer)


@cache
def llama_bpe() -> Rust:
    """As Llama 2 in the tokenizers library: "▁" for spaces, one dropped at the start, bytes as a fallback."""
    characters = sorted({c for line in LINES for c in line if c.isascii() and c.isprintable() and c != " "})
    merges = [("▁", "x"), ("▁", "="), ("a", "n"), ("▁", "a"), ("▁", "▁")]
    pieces = [*(f"<0x{byte:02X}>" for byte in range(256)), "▁", *characters]
    pieces += [first + second for first, second in merges]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab, merges, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return Rust(tokenizer)


@cache
def sentencepiece_bpe(normalizes: bool) -> SentencePiece:
    """With `normalizes`, sentencepiece's default: spaces and newlines are squeezed when encoding."""
    options = {} if normalizes else {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([part for line in LINES for part in line.split("\n")]),
        model_writer=model,
        vocab_size=360,
        model_type="bpe",
        byte_fallback=True,
        character_coverage=0.98,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return SentencePiece(sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()))
