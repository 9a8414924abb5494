"""WiFi: the station, the module's own access point, and the remembered networks."""
