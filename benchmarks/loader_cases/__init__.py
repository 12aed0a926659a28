"""Who takes part in the comparison of loaders, by kind of store."""
