"""Labels for real frames without a human hand: published body models and our own, where they agree."""
