"""What tools/check_idf.py is made of: our C and our sdkconfig files against ESP-IDF's sources."""
