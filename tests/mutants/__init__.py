"""Mutation testing: would a test notice, were a line of the rules or of a teardown wrong? `./run mutants`."""
