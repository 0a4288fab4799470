"""Durable plan changes for companies that rent out game servers."""
