"""Hundreds of stories at once on a system whose parts keep dying; at the end all must have come to an end."""
