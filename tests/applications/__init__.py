"""Real applications, served natively and crossed, and every answer compared: ``python -m tests.applications``."""
