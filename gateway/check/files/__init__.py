"""Read the files of a deployment into facts, without running them. ``read.read_files`` is the entry."""

from __future__ import annotations

from gateway.check.files.read import read_files

__all__ = ["read_files"]
