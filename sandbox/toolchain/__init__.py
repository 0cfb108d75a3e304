"""Where the servers that no wheel carries come from: pinned Go modules, built or downloaded once into a cache."""
