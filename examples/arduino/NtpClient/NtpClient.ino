/*
  Asks a time server over UDP, each minute. For the time alone, use WiFi.getTime(): the module then asks.
*/

#include <WiFiNINA.h>
#include <WiFiUdp.h>

const char SSID[] = "Workshop";
const char PASSWORD[] = "spinet-sim";
const char SERVER[] = "pool.ntp.org";
const unsigned long SINCE_1900 = 2208988800UL;  // seconds until 1970

WiFiUDP udp;
byte packet[48];

void setup() {
  Serial.begin(115200);
  while (WiFi.begin(SSID, PASSWORD) != WL_CONNECTED) {
    Serial.println("not joined yet");
  }
  udp.begin(2390);
}

void loop() {
  memset(packet, 0, sizeof(packet));
  packet[0] = 0x23;
  udp.beginPacket(SERVER, 123);
  udp.write(packet, sizeof(packet));
  udp.endPacket();
  for (unsigned long began = millis(); millis() - began < 5000;) {
    if (udp.parsePacket() >= (int)sizeof(packet)) {
      udp.read(packet, sizeof(packet));
      unsigned long seconds = (unsigned long)packet[40] << 24 | (unsigned long)packet[41] << 16 |
                              (unsigned long)packet[42] << 8 | packet[43];
      Serial.print("seconds since 1970: ");
      Serial.println(seconds - SINCE_1900);
      break;
    }
  }
  delay(60000);
}
