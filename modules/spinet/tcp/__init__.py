"""Connections and listeners; the contract of a TCP stack, and two stacks."""
