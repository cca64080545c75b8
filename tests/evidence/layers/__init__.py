"""The figures of docs/explanation/layers.md: scaling, isolation from slow clients, and losses of restarts."""
