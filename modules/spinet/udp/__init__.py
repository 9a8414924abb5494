"""UDP: its contract, the sockets that keep it, and ports for the firmware's own services."""
