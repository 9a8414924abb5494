# What the programs here connect to: SIM's network first.
SSID = "Workshop"
PASSWORD = "spinet-sim"
HOST, PORT = "127.0.0.1", 8000
TIME_SERVER, TIME_PORT = "pool.ntp.org", 123
