"""One module per application, with the table of its requests; importing one imports no package of the application."""
