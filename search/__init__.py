"""How trials become a pick."""
