"""The work of ``gateway check``: the facts of a deployment, direct calls of an application, a probe of a live server.

The rules stand in `gateway.rules`; the command ``gateway.cli.check`` puts the findings together.

- ``drive`` calls an application in process.
- ``probe`` asks a running server.
- ``visitor`` chooses the host and the scheme of the requests, and notes which ones reach the application.
- ``deployed`` reads the chain, the server's settings and the environment.

The package is internal.
"""
