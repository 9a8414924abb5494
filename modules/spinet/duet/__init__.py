"""Duet's link protocol: its records, its commands and both roles of its link."""
