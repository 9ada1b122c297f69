"""Values field by field, as `inspect --raw` prints them."""
