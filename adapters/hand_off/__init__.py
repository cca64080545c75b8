"""Hand-offs between threads and an event loop. Both directions use them."""
