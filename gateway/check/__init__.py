"""The work of ``gateway check``: the facts of a deployment, direct calls of an application, a probe of a live server.

The rules are in `gateway.rules`; the command ``gateway.cli.check`` combines the findings.

- ``drive`` calls an application in process.
- ``probe`` sends requests to a running server.
- ``visitor`` chooses the host and the scheme of the requests, and notes which ones reach the application.
- ``deployed`` reads the chain, the server's settings and the environment.

The package is internal.
"""
