"""Connections, listeners and what they stand on: the contract of a TCP stack, and two stacks."""
