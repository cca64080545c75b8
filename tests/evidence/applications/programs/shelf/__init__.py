"""A Django application with a model that has a file: what the admin site of the comparison administers."""
