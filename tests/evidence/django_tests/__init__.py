"""Django's own tests of its handlers, once as they are and once with each call of a handler through the object."""
