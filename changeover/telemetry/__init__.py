"""What operators are told by machine: logs, figures, probes and traces. Never a code, never an address."""
