"""Django with PostgreSQL in several ways under several servers: connections, CPU time, the slowest percent."""
