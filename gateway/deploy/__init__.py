"""The files of a deployment, made from one set of numbers. ``generate.render`` is the entry."""

from __future__ import annotations

from gateway.deploy.generate import DEPLOYMENTS, Deployment, render

__all__ = ["DEPLOYMENTS", "Deployment", "render"]
