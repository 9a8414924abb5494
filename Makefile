# Bare `make` lists the targets. Everything made lands under build/.

ifneq ($(words $(CURDIR)),1)
$(error make cannot work in a folder whose name has a space in it: $(CURDIR))
endif

PYTHON ?= python3##             the Python (3.11 or newer) that the virtual environment is made from
MICROPY_DIR ?=##                a MicroPython checkout to build from, instead of Debian's source package
ROLE ?= module-clocked##        who drives SCK: module-clocked or controller-clocked
HTTP_PORT ?= 8080##             where `make run` shows the printer's page
PORT ?= 8765##                  the virtual bus of `make sim`, or a board's serial port: PORT=/dev/ttyUSB0
BOARD ?=##                      the chip's board: SPINET_ESP32, SPINET_ESP32C3 or SPINET_ESP32S3

# A value's comment must not leave its blanks in the value.
override PYTHON := $(strip $(PYTHON))
override MICROPY_DIR := $(strip $(MICROPY_DIR))
override ROLE := $(strip $(ROLE))
override HTTP_PORT := $(strip $(HTTP_PORT))
override PORT := $(strip $(PORT))
override BOARD := $(strip $(BOARD))
export MICROPY_DIR

include tools/check_values.mk

BUILD := $(CURDIR)/build
BIN := $(BUILD)/venv/bin
SIM := $(BUILD)/sim/micropython
QEMU := $(BUILD)/qemu/firmware.elf
MPY_CROSS := $(BUILD)/mpy-cross/mpy-cross
STEP := tools/run_step.sh

# Tools leave nothing between the sources.
export PYTHONDONTWRITEBYTECODE := 1
export HYPOTHESIS_STORAGE_DIRECTORY := $(BUILD)/hypothesis

.DELETE_ON_ERROR:
.PHONY: help setup build mpy-cross mpy qemu run sim firmware flash repl deploy monitor test lint format behaviours test-packages \
    clean distclean FORCE

help: ## list targets and variables
	@tools/show_help.sh $(firstword $(MAKEFILE_LIST))

setup: $(BUILD)/venv/ready ## make the virtual environment with the tools and the controller
	@echo "The virtual environment is ready: $(BUILD:$(CURDIR)/%=%)/venv"

build: $(SIM) ## build SIM: MicroPython's unix port with the firmware frozen in
	@echo "SIM is ready: $(SIM:$(CURDIR)/%=%)"

mpy-cross: $(MPY_CROSS) ## build MicroPython's cross compiler alone
	@echo "mpy-cross is ready: $(MPY_CROSS:$(CURDIR)/%=%)"

mpy: $(BUILD)/venv/ready ## compile the modules for the chips, with every MicroPython release from 1.25 on
	@echo "Compiling the modules for the chips"
	@$(BIN)/python tools/compile_modules.py --build $(BUILD)

run: $(SIM) $(BUILD)/venv/ready ## start the virtual printer, with SIM as its module (ROLE, HTTP_PORT)
	@exec $(BIN)/spinet-controller serve --sim $(SIM) --sim-state $(BUILD)/sim-state \
	    --files $(BUILD)/printer-files --role $(ROLE) --port $(HTTP_PORT) --bus-port 0

sim: $(SIM) ## start SIM alone, in a terminal with its REPL (ROLE, PORT)
	@echo "Starting SIM, $(ROLE), on the virtual bus at port $(PORT)"
	@if [ -t 0 ]; then before=-i after=--repl; fi; \
	    exec $(SIM) $$before -m sim --port $(PORT) --role $(ROLE) $$after

qemu: $(QEMU) ## build the firmware for an emulated RISC-V core
	@echo "The emulated core's image is ready: $(QEMU:$(CURDIR)/%=%)"

# Settings of a chip for esptool: its name there, and where its image begins.
CHIP_SPINET_ESP32 := esp32
CHIP_SPINET_ESP32C3 := esp32c3
CHIP_SPINET_ESP32S3 := esp32s3
OFFSET_SPINET_ESP32 := 0x1000
OFFSET_SPINET_ESP32C3 := 0x0
OFFSET_SPINET_ESP32S3 := 0x0
IMAGE := $(BUILD)/firmware/$(BOARD)/firmware.bin
ON_BOARD = $(BIN)/python -m mpremote connect $(PORT)

firmware: ## build the image for a chip, with ESP-IDF (BOARD, MICROPY_DIR, IDF_PATH)
	@$(PYTHON) tools/build_firmware.py $(BOARD) --build $(BUILD)
	@tools/make_venv.sh $(PYTHON) $(BUILD)
	@$(BIN)/python tools/make_image.py $(BUILD)/firmware/$(BOARD)

flash: $(BUILD)/venv/ready ## write the image to a chip (BOARD, PORT)
	@test -f $(IMAGE) || { \
	    echo "there is no image to flash: make firmware BOARD=$(BOARD)" >&2; exit 1; }
	@$(BIN)/python -m esptool --chip $(CHIP_$(BOARD)) --port $(PORT) --baud 460800 \
	    write-flash $(OFFSET_$(BOARD)) $(IMAGE)

repl: $(BUILD)/venv/ready ## open the REPL of a board, which goes on serving (PORT)
	@exec $(ON_BOARD) resume repl

# The watchdog is given an hour, as nobody feeds it meanwhile; the reset ends that.
deploy: $(BUILD)/venv/ready ## copy modules/spinet to a running board, in front of the image's (PORT)
	@$(ON_BOARD) exec "import machine; machine.WDT(timeout=3600000)" \
	    fs cp -r modules/spinet : reset

monitor: $(BUILD)/venv/ready ## show what a board prints; Ctrl-] ends it (PORT)
	@exec $(BIN)/python -m serial.tools.miniterm --raw $(PORT) 115200

test: lint mpy $(SIM) $(QEMU) test-packages ## check the style, then run every test
	@echo "Running the tests"
	@$(BIN)/python -m pytest

lint: $(BUILD)/venv/ready ## check format, style and spelling
	@echo "Checking format, style and spelling"
	@$(BIN)/ruff format --check --quiet || { echo "run make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet
	@$(BIN)/codespell

format: $(BUILD)/venv/ready ## put the Python sources in the project's format
	@echo "Formatting the Python sources"
	@$(BIN)/ruff check --select I --fix-only --quiet
	@$(BIN)/ruff format --quiet

behaviours: $(SIM) $(BUILD)/venv/ready test-packages ## run the tests of the behaviours and print their table
	@echo "Running the tests of the behaviours"
	@$(BIN)/python -m pytest host_tests controller/tests --behaviours

test-packages:
	@tools/need_packages.sh "the tests" chromium=chromium curl=curl \
	    qemu-system-riscv32=qemu-system-misc

clean: ## remove what was built, but keep what was downloaded
	@echo "Removing what was built"
	@rm -rf $(BUILD)/sim $(BUILD)/qemu $(BUILD)/firmware $(BUILD)/mpy $(BUILD)/mpy-cross $(BUILD)/logs $(BUILD)/*_cache $(BUILD)/hypothesis

distclean: ## remove everything that is not a source
	@echo "Removing build/ and all that was downloaded"
	@rm -rf $(BUILD) controller/*.egg-info

# Needs no time stamp of a requirement file: what it holds decides, so a checkout that changes
# branches back and forth installs again only when it has to.
$(BUILD)/venv/ready: FORCE
	@tools/make_venv.sh $(PYTHON) $(BUILD)

# Where MicroPython's source is. The file changes only when the answer does.
$(BUILD)/micropython.source: FORCE
	@$(PYTHON) tools/fetch_micropython.py --build $(BUILD) --record $@

# Which files SIM is made of, so that one that was removed is noticed too.
SIM_SOURCES := $(sort manifest.py $(shell find modules -name '*.py') \
    $(shell find boards/SIM -type f -not -path '*/__pycache__/*'))

$(BUILD)/sim.sources: FORCE
	@mkdir -p $(@D)
	@echo '$(SIM_SOURCES)' | cmp -s - $@ || echo '$(SIM_SOURCES)' >$@

# A checkout of one's own may be worked on; Debian's source never changes.
OWN_SOURCES := $(if $(MICROPY_DIR),$(wildcard $(addprefix $(MICROPY_DIR)/,\
    py/*.[ch] extmod/*.[ch] shared/*/*.[ch] ports/unix/*.[ch] mpy-cross/*.[ch])))

$(MPY_CROSS): $(BUILD)/micropython.source $(OWN_SOURCES) tools/build_micropython.sh
	@test -x $@ || tools/need_packages.sh "the build" gcc=build-essential
	@$(STEP) "Building mpy-cross" $(BUILD)/logs/mpy-cross.log \
	    tools/build_micropython.sh mpy-cross $(BUILD)

$(SIM): $(MPY_CROSS) $(BUILD)/sim.sources $(SIM_SOURCES)
	@$(STEP) "Building SIM, MicroPython with the firmware frozen in" $(BUILD)/logs/sim.log \
	    tools/build_micropython.sh sim $(BUILD)

PICOLIBC := /usr/lib/picolibc/riscv64-unknown-elf/picolibc.specs
QEMU_SOURCES := $(sort manifest.py boards/SIM/radio.py $(shell find modules boards/QEMU_RV32 -name '*.py') \
    $(wildcard host_tests/vm/*.py) host_tests/fake_pins.py host_tests/raw_controller.py)

$(BUILD)/qemu.sources: FORCE
	@mkdir -p $(@D)
	@echo '$(QEMU_SOURCES)' | cmp -s - $@ || echo '$(QEMU_SOURCES)' >$@

$(QEMU): $(MPY_CROSS) $(BUILD)/qemu.sources $(QEMU_SOURCES)
	@tools/need_packages.sh "the emulated core" riscv64-unknown-elf-gcc=gcc-riscv64-unknown-elf \
	    $(PICOLIBC)=picolibc-riscv64-unknown-elf
	@$(STEP) "Building the firmware for an emulated RISC-V core" $(BUILD)/logs/qemu.log \
	    tools/build_micropython.sh qemu $(BUILD)
