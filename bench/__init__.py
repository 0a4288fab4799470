"""`./run bench`: what a plan change costs, measured in one run beside what Temporal itself costs."""
