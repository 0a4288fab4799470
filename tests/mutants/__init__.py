"""Mutation testing: would a test notice, were a line of the rules or of the effects wrong? `./run mutants`."""
