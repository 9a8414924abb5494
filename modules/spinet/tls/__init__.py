"""TLS over any TCP stack: sessions, handshakes, and certificate and keys."""
