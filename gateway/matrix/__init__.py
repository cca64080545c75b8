"""One application under every server, compared. The package is internal."""
