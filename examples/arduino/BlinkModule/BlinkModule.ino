/*
  Blinks and dims an LED at one of the module's own pins. On Arduino's boards with an RGB LED of the
  module's it is at the pins 25, 26 and 27.
*/

#include <WiFiNINA.h>
#include <utility/wifi_drv.h>

const int LED = 26;

void setup() {
  WiFi.status();  // starts the module
  WiFiDrv::pinMode(LED, OUTPUT);
}

void loop() {
  for (int i = 0; i < 3; i++) {
    WiFiDrv::digitalWrite(LED, HIGH);
    delay(200);
    WiFiDrv::digitalWrite(LED, LOW);
    delay(200);
  }
  for (int duty = 0; duty < 256; duty++) {
    WiFiDrv::analogWrite(LED, duty);
    delay(4);
  }
  WiFiDrv::pinMode(LED, OUTPUT);
}
