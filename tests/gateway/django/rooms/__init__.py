"""A Django project with a view that asks PostgreSQL, and chat rooms of Channels."""
