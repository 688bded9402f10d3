"""Physical removal of pruned units, checked exact."""
