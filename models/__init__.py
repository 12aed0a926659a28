"""What trains from the cache. Nothing is here yet."""
