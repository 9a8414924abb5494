# What every chip freezes besides its board.py: the firmware, the port's own start-up files, and
# asyncio for use at the REPL.
include("../../manifest.py")
package(
    "chip",
    (
        "__init__.py",
        "announcer.py",
        "nina_link.py",
        "partitions.py",
        "pins.py",
        "radio.py",
        "uart_board.py",
    ),
    base_path="..",
)
freeze("$(PORT_DIR)/modules", ("_boot.py", "flashbdev.py", "inisetup.py"))
include("$(MPY_DIR)/extmod/asyncio")
