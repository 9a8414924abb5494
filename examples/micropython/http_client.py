"""Fetch a page, on a board whose MicroPython has the nina driver: copy it and settings.py there."""

import socket
import time

import network
import settings

wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect(settings.SSID, settings.PASSWORD)
while not wlan.isconnected():
    time.sleep_ms(100)
print("address", wlan.ifconfig()[0])

sock = socket.socket()
sock.connect(socket.getaddrinfo(settings.HOST, settings.PORT)[0][-1])
sock.write(b"GET / HTTP/1.0\r\nHost: %s\r\n\r\n" % settings.HOST.encode())
print(sock.readline().strip().decode())
while sock.readline().strip():
    pass  # a header
print(sock.read().decode())
sock.close()
