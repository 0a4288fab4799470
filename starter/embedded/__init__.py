"""The embedded system: Temporal's dev server, a mail catcher and a worker as processes, on one machine."""
