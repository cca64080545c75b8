"""Each coding is decoded by its own library to what went in, whatever the cuts."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.middleware._codings import CODINGS, available, encoder_factory

DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


def test_all_codings_are_there_with_the_extra_installed() -> None:
    assert available() == CODINGS


@pytest.mark.parametrize("coding", CODINGS)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_cut_of_the_body_decodes_to_the_body(coding: str, chunks: list[bytes]) -> None:
    encoder = encoder_factory(coding)()
    encoded = b"".join([encoder.push(chunk) for chunk in chunks]) + encoder.finish()
    assert DECODE[coding](encoded) == b"".join(chunks)


def partial_gzip(data: bytes) -> bytes:
    import zlib

    return zlib.decompressobj(31).decompress(data)


PARTIAL: dict[str, Callable[[bytes], bytes]] = {
    "gzip": partial_gzip,
    "br": lambda data: brotli.Decompressor().process(data),
    "zstd": DECODE["zstd"],
}


@pytest.mark.parametrize("coding", CODINGS)
def test_a_flush_lets_out_all_that_was_pushed(coding: str) -> None:
    encoder = encoder_factory(coding)()
    sent = encoder.push(b"data: 1\n\n") + encoder.flush()
    assert PARTIAL[coding](sent) == b"data: 1\n\n"
    sent += encoder.push(b"data: 2\n\n") + encoder.flush()
    assert PARTIAL[coding](sent) == b"data: 1\n\ndata: 2\n\n"
    assert DECODE[coding](sent + encoder.finish()) == b"data: 1\n\ndata: 2\n\n"


def test_padding_makes_equal_bodies_differ_in_length_and_decode_alike() -> None:
    make = encoder_factory("gzip", padding=100)
    bodies = []
    for _ in range(40):
        encoder = make()
        bodies.append(encoder.push(b"secret") + encoder.finish())
    assert len({len(body) for body in bodies}) > 5
    assert {gzip.decompress(body) for body in bodies} == {b"secret"}


def test_without_padding_equal_bodies_are_equal() -> None:
    first, second = encoder_factory("gzip")(), encoder_factory("gzip")()
    assert first.push(b"x") + first.finish() == second.push(b"x") + second.finish()


@pytest.mark.parametrize(("coding", "level"), [("gzip", 0), ("gzip", 10), ("br", 12), ("zstd", 23), ("deflate", None)])
def test_a_coding_or_level_that_does_not_exist_is_refused(coding: str, level: int | None) -> None:
    with pytest.raises(ConfigurationError, match=coding):
        encoder_factory(coding, level)
