"""Where alerts go: files, queues, topics and web servers, and ``sinks.toml`` that names them."""
