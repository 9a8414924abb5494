"""WiFi: the station, our own access point and the networks that are remembered."""
