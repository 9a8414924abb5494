"""Ask a time server over UDP, on a board whose MicroPython has the nina driver: copy it and
settings.py there."""

import socket
import struct
import time

import network
import settings

SINCE_1900 = 2208988800  # seconds until 1970
SINCE_2000 = 3155673600  # seconds until 2000, from which some boards count

wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect(settings.SSID, settings.PASSWORD)
while not wlan.isconnected():
    time.sleep_ms(100)

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(10)
server = socket.getaddrinfo(settings.TIME_SERVER, settings.TIME_PORT)[0][-1]
sock.sendto(b"\x23" + bytes(47), server)
seconds = struct.unpack(">I", sock.recv(48)[40:44])[0]
sock.close()
since = SINCE_1900 if time.gmtime(0)[0] == 1970 else SINCE_2000
print("{}-{:02}-{:02} {:02}:{:02}:{:02}".format(*time.gmtime(seconds - since)[:6]))
