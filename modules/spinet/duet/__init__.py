"""Duet's link protocol: its records, its commands, and a link driver for each clock role."""
