/*
  Fetches a page over TLS, which the module does.
*/

#include <WiFiNINA.h>

const char SSID[] = "Workshop";
const char PASSWORD[] = "spinet-sim";
const char HOST[] = "www.example.com";

WiFiSSLClient client;

void setup() {
  Serial.begin(115200);
  while (WiFi.begin(SSID, PASSWORD) != WL_CONNECTED) {
    Serial.println("not joined yet");
  }
  if (!client.connect(HOST, 443)) {
    Serial.println("no connection");
    return;
  }
  client.print("GET / HTTP/1.0\r\nHost: ");
  client.print(HOST);
  client.print("\r\n\r\n");
  while (client.connected()) {
    if (client.available()) {
      Serial.write(client.read());
    }
  }
  client.stop();
}

void loop() {
}
