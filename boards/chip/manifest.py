# What every chip freezes besides its board.py: the firmware, the port's own start-up files, and
# asyncio for use at the REPL.
include("../../manifest.py")
freeze(
    ".",
    (
        "announcer.py",
        "chip.py",
        "chip_pins.py",
        "nina_link.py",
        "partitions.py",
        "radio.py",
        "uart_board.py",
    ),
)
freeze("$(PORT_DIR)/modules", ("_boot.py", "flashbdev.py", "inisetup.py"))
include("$(MPY_DIR)/extmod/asyncio")
