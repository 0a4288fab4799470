"""Random histories: customers, operators and faults in any order, beside a simple model of the rules."""
