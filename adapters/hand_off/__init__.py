"""Hand-offs between threads and an event loop. The adapters of both directions use them."""
