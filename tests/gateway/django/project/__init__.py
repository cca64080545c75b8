"""A Django project with a database, Channels and static files, for real servers; paths come from the environment."""
