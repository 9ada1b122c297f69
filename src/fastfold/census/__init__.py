"""The census: what the memory of Redis is spent on."""
