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
from gateway.middleware._codings import (
    CODINGS,
    ZSTD_HEADER,
    ZSTD_WINDOW,
    available,
    encode,
    encoder_factory,
    zstd_window,
)
from tests.shows import shows

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


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("level", [1, 9])
def test_a_whole_content_decodes_to_the_content(coding: str, level: int) -> None:
    for content in (b"", b"data " * 100_000):
        encoded = encode(coding, content, level)
        assert DECODE[coding](encoded) == content
        assert coding != "zstd" or (zstd_window(encoded) or 0) <= ZSTD_WINDOW


def partial_gzip(data: bytes) -> bytes:
    import zlib

    return zlib.decompressobj(31).decompress(data)


PARTIAL: dict[str, Callable[[bytes], bytes]] = {
    "gzip": partial_gzip,
    "br": lambda data: brotli.Decompressor().process(data),
    "zstd": DECODE["zstd"],
}


@pytest.mark.parametrize("coding", CODINGS)
def test_flush_returns_all_pushed_data(coding: str) -> None:
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


@shows("zstd keeps to a window of 8 MiB at every level", once="a coding has no interface")
@pytest.mark.parametrize("level", range(1, 23))
def test_a_browser_can_decode_zstd_of_every_level(level: int) -> None:
    """RFC 9659: HTTP clients need not accept a window above 8 MiB, and browsers do not."""
    encoder = encoder_factory("zstd", level)()
    sent = encoder.push(b"data") + encoder.flush()
    assert zstandard.get_frame_parameters(sent).window_size <= ZSTD_WINDOW
    browser = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
    assert browser.decompressobj().decompress(sent + encoder.finish()) == b"data"


@pytest.mark.parametrize("level", [1, 3, 19, 22])
@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_791, 65_792, 2**20])
@pytest.mark.parametrize("known", [True, False])
def test_the_window_of_a_frame_is_read_from_its_header(level: int, size: int, known: bool) -> None:
    compressor = zstandard.ZstdCompressor(level=level, write_content_size=known)
    frame = compressor.compress(bytes(size))
    assert zstd_window(frame[:ZSTD_HEADER]) == zstandard.get_frame_parameters(frame).window_size


def test_every_window_descriptor_is_read_as_the_library_reads_it() -> None:
    for descriptor in range(22 << 3):  # the library knows windows of up to 2 GiB
        frame = b"\x28\xb5\x2f\xfd\x00" + bytes([descriptor]) + bytes(12)
        assert zstd_window(frame) == zstandard.get_frame_parameters(frame).window_size


@pytest.mark.parametrize(
    "start",
    [b"", b"text", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\xe0\x00", b"\x50\x2a\x4d\x18" + bytes(14)],
    ids=["empty", "text", "cut", "cut-in-the-size", "skippable-frame"],
)
def test_bytes_that_are_not_a_frame_header_have_no_window(start: bytes) -> None:
    assert zstd_window(start) is None


def test_a_frame_that_needs_a_dictionary_has_no_window() -> None:
    samples = [b"a line of text %d, and more of it" % number for number in range(2000)]
    dictionary = zstandard.train_dictionary(1024, samples)
    frame = zstandard.ZstdCompressor(dict_data=dictionary).compress(samples[0])
    assert zstandard.get_frame_parameters(frame).dict_id
    assert zstd_window(frame) is None
