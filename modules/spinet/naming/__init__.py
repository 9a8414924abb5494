"""Announcing the module's name and services: mDNS, and DNS in access point mode."""
