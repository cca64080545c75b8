"""Violations of the specifications by servers, adapters, frameworks and middleware, each with a program."""
