"""The parts of the sites that are programs: they import the packages of their application."""
