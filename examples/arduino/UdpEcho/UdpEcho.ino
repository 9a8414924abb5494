/*
  Sends each datagram back to its sender.
*/

#include <WiFiNINA.h>
#include <WiFiUdp.h>

const char SSID[] = "Workshop";
const char PASSWORD[] = "spinet-sim";

WiFiUDP udp;
byte packet[1472];

void setup() {
  Serial.begin(115200);
  while (WiFi.begin(SSID, PASSWORD) != WL_CONNECTED) {
    Serial.println("not joined yet");
  }
  udp.begin(7777);
}

void loop() {
  int size = udp.parsePacket();
  if (size > 0) {
    size = udp.read(packet, sizeof(packet));
    udp.beginPacket(udp.remoteIP(), udp.remotePort());
    udp.write(packet, size);
    udp.endPacket();
  }
}
