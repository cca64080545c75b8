"""What servers and adapters of the field break of the specifications, each with a reproduction that runs."""
