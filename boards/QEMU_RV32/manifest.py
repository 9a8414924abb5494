# The emulated RISC-V core freezes: what a chip freezes; modules that the firmware imports and the
# qemu port lacks; a board with the link and the network in memory; and the cases that run on it.
include("../../manifest.py")
freeze(
    ".",
    (
        "_thread.py",
        "board.py",
        "boot_heap.py",
        "counted.py",
        "counted_nina.py",
        "select.py",
        "socket.py",
        "time.py",
    ),
)
freeze("../SIM", "radio.py")
freeze("$(MPY_DIR)/ports/esp32/modules", ("_boot.py", "flashbdev.py"))
freeze(
    "..",
    (
        "SPINET_ESP32C3/board.py",
        "chip/__init__.py",
        "chip/announcer.py",
        "chip/partitions.py",
        "chip/radio.py",
    ),
)
freeze("../../host_tests/support", ("fake_pins.py", "raw_controller.py"))
freeze(
    "../../host_tests/vm",
    (
        "cases_garbage.py",
        "cases_heap.py",
        "cases_link.py",
        "cases_nina.py",
        "cases_ring.py",
        "cases_slots.py",
        "cases_stack.py",
        "cases_wire.py",
        "chip_bench.py",
        "heap_scenarios.py",
        "memory_stack.py",
        "run.py",
    ),
)
