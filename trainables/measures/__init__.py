"""Measures of a network: one quantity and one unit each."""
