"""TLS over any TCP stack: its sessions, their handshakes and the keys."""
