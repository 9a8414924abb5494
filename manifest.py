# What every board freezes: the firmware, and main.py that starts it at boot.
freeze("modules")
