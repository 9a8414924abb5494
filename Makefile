# Bare `make` lists the targets. Everything made lands under build/.

ifneq ($(words $(CURDIR)),1)
$(error make cannot work in a folder whose name has a space in it: $(CURDIR))
endif

PYTHON ?= python3##             the Python (3.11 or newer) that the virtual environment is made from
MICROPY_DIR ?=##                a MicroPython checkout to build from, instead of Debian's source package
SOURCES ?=##                    a Debian mirror, or a folder with source packages, where apt names no mirror
STACK ?= sockets##              SIM's TCP: sockets (this computer's own) or lwip (the chips', as root)
ROLE ?= module-clocked##        who drives SCK: module-clocked or controller-clocked
PROTOCOL ?= duet##              the link protocol of `make sim`: duet or nina
HTTP_PORT ?= 8080##             where `make run` shows the printer's page
HTTPS_PORT ?= 8443##            where it does so over TLS; none: nowhere
FTP_PORT ?= 2121##              where `make run` serves FTP; none: nowhere
TELNET_PORT ?= 2323##           where it serves the console; none: nowhere
SSID ?=##                       the network that `make run` joins; its password is SPINET_PASSWORD's
CYCLES ?=##                     how many connections `make churn` and `make interrupt` make
PARALLEL ?=##                   how many of them at the same time
SEED ?= 1##                     what draws their kinds and ends, the faults of `make transfer`, the traffic of `make soak` and `make pauses`
MIB ?= 64##                     how much `make transfer` sends each way
TRANSACTIONS ?= 1000000##       how many `make soak` makes
PAUSES ?= 200##                 how often `make pauses` stops the module
HANDSHAKES ?= 500##              how many handshakes `make handshakes` makes
CONTROLLER ?=##                 which controller `make soak` and `make pauses` use: strict, rrf
BENCH_MIB ?= 8##                how much `make bench` moves in each direction
WORKERS ?= 4##                  how many processes share the tests of `make test`; 0: one after the other
TEST ?=##                       the test that `make capture` records, as pytest names it
PORT ?= 8765##                  the virtual bus of `make sim`, or a board's serial port: PORT=/dev/ttyUSB0
BOARD ?=##                      the chip's board, a folder of boards/: SPINET_ESP32, SPINET_NINA_ESP32C3 and so on
QEMU ?=##                       Espressif's qemu-system-riscv32, for `make emulate`
QEMU_OPTIONS ?=##               more of its options, for instance for a network
BUS ?=##                        uart: the emulated chip has the virtual bus at a pseudo-terminal
IDF_PATH ?=##                   ESP-IDF's folder
SOURCE_DATE_EPOCH ?=##       the time that what is made for a release carries; of the last commit if not set
EXTRA_COMPONENTS ?=##           a folder of components that ESP-IDF does not bring (mdns), for `make check-idf`

VALUES := PYTHON MICROPY_DIR SOURCES STACK ROLE PROTOCOL HTTP_PORT HTTPS_PORT FTP_PORT TELNET_PORT \
    CYCLES PARALLEL SEED MIB TRANSACTIONS PAUSES HANDSHAKES CONTROLLER BENCH_MIB WORKERS TEST PORT BOARD QEMU BUS \
    IDF_PATH EXTRA_COMPONENTS

# A value's comment must not leave its blanks in the value.
$(foreach name,$(VALUES),$(eval override $(name) := $$(strip $$($(name)))))
export MICROPY_DIR SOURCES IDF_PATH EXTRA_COMPONENTS SSID

# Values that cannot be right are told before anything is built.
GOALS := $(filter-out help clean distclean,$(MAKECMDGOALS))
quoted = '$(subst ','\'',$1)'
WRONG := $(if $(GOALS),$(shell $(PYTHON) tools/check_values.py $(GOALS) \
    $(foreach name,$(VALUES),$(call quoted,$(name)=$($(name)))) 2>&1))
$(if $(WRONG),$(error $(WRONG)))

BUILD := $(CURDIR)/build
BIN := $(BUILD)/venv/bin
SIM_SOCKETS := $(BUILD)/sim/micropython
SIM_LWIP := $(BUILD)/sim-lwip/micropython
SIM := $(if $(filter lwip,$(STACK)),$(SIM_LWIP),$(SIM_SOCKETS))
LWIP_READY := $(BUILD)/lwip-2.2.1/.ready
MBEDTLS_READY := $(BUILD)/mbedtls/.ready
CORE := $(BUILD)/qemu/firmware.elf
MPY_CROSS := $(BUILD)/mpy-cross/mpy-cross
WEB := $(BUILD)/web/ready
NINA_BOARD := $(BUILD)/nina-board/micropython
NINA_DRIVER := $(BUILD)/nina-driver/driver.so
BOARD_LIBRARIES := $(BUILD)/board-libraries/ready
STEP := tools/run_step.sh
# The time of a release is that of the last commit, so that it can be made again.
DATED = SOURCE_DATE_EPOCH=$(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),1000000000)

# Tools leave nothing between the sources.
export PYTHONDONTWRITEBYTECODE := 1
export HYPOTHESIS_STORAGE_DIRECTORY := $(BUILD)/hypothesis

.DELETE_ON_ERROR:
.PHONY: help setup build mpy-cross run sim test dist tsan lint format behaviours stack-packages \
    churn interrupt transfer soak pauses handshakes capture bench rig-packages riscv-packages \
    release mpy mip check-idf budget qemu firmware emulate flash repl deploy monitor wifi-table api \
    test-packages clean distclean FORCE

help: ## list targets and variables
	@tools/show_help.sh $(firstword $(MAKEFILE_LIST))

setup: $(BUILD)/venv/ready ## make the virtual environment with the tools and the controller
	@echo "The virtual environment is ready: $(BUILD:$(CURDIR)/%=%)/venv"

build: $(SIM) ## build SIM: MicroPython's unix port with the firmware frozen in (STACK)
	@echo "SIM is ready: $(SIM:$(CURDIR)/%=%)"

mpy-cross: $(MPY_CROSS) ## build MicroPython's cross compiler alone
	@echo "mpy-cross is ready: $(MPY_CROSS:$(CURDIR)/%=%)"

mpy: $(BUILD)/venv/ready ## compile the modules for the chips, with every MicroPython release from 1.25 on
	@echo "Compiling the modules for the chips"
	@$(BIN)/python tools/compile_modules.py --build $(BUILD)

mip: $(BUILD)/venv/ready ## compile packages for boards with MicroPython's own image, for mpremote mip install
	@$(BIN)/python tools/make_mip.py --build $(BUILD)

check-idf: $(BUILD)/venv/ready riscv-packages ## check our C and settings against ESP-IDF's sources (IDF_PATH, MICROPY_DIR)
	@tools/need_packages.sh "check-idf" cmake=cmake xtensa-lx106-elf-gcc=gcc-xtensa-lx106 \
	    /usr/lib/xtensa-lx106-elf/picolibc.specs=picolibc-xtensa-lx106-elf
	@$(BIN)/python tools/check_idf.py --build $(BUILD)

# lwIP's way out of the process: a TAP device that is there for as long as the command.
WITH_TAP := $(if $(filter lwip,$(STACK)),$(PYTHON) tools/with_tap.py)

run: $(SIM) $(BUILD)/venv/ready stack-packages ## start the virtual printer, with SIM as its module (STACK, ROLE, SSID, *_PORT)
	@exec $(WITH_TAP) $(BIN)/spinet-controller serve --sim $(SIM) --sim-state $(BUILD)/sim-state \
	    --files $(BUILD)/printer-files --tls-folder $(BUILD)/printer-tls \
	    --role $(ROLE) --port $(HTTP_PORT) --https-port $(HTTPS_PORT) --ftp-port $(FTP_PORT) \
	    --telnet-port $(TELNET_PORT) --bus-port 0 $(if $(SSID),--ssid "$$SSID")

SPOKEN = $(if $(filter nina,$(PROTOCOL)),--protocol nina,--role $(ROLE))

sim: $(SIM) stack-packages ## start SIM alone, in a terminal with its REPL (STACK, PROTOCOL, ROLE, PORT)
	@echo "Starting SIM, $(if $(filter nina,$(PROTOCOL)),nina,$(ROLE)), on the virtual bus at port $(PORT)"
	@if [ -t 0 ]; then before=-i after=--repl; fi; \
	    exec $(WITH_TAP) $(if $(WITH_TAP),--or-loopback) $(SIM) $$before -m sim --port $(PORT) $(SPOKEN) $$after

qemu: $(CORE) ## build the firmware for an emulated RISC-V core
	@echo "The emulated core's image is ready: $(CORE:$(CURDIR)/%=%)"

# Settings of a chip for esptool: its name there, and where its image begins.
CHIP_SPINET_ESP32 := esp32
CHIP_SPINET_ESP32C3 := esp32c3
CHIP_SPINET_ESP32S3 := esp32s3
CHIP_SPINET_NINA_ESP32 := esp32
CHIP_SPINET_NINA_ESP32C3 := esp32c3
CHIP_SPINET_NINA_W102 := esp32
OFFSET_SPINET_ESP32 := 0x1000
OFFSET_SPINET_ESP32C3 := 0x0
OFFSET_SPINET_ESP32S3 := 0x0
OFFSET_SPINET_NINA_ESP32 := 0x1000
OFFSET_SPINET_NINA_ESP32C3 := 0x0
OFFSET_SPINET_NINA_W102 := 0x1000
IMAGE := $(BUILD)/firmware/$(BOARD)/firmware.bin
ON_BOARD = $(BIN)/python -m mpremote connect $(PORT)

budget: $(BUILD)/venv/ready ## print what a chip's firmware takes of flash and RAM, from the builds at hand (BOARD)
	@$(BIN)/python tools/budget.py $(BOARD) --build $(BUILD)

firmware: ## build the image for a chip, with ESP-IDF (BOARD, MICROPY_DIR, IDF_PATH)
	@$(DATED) $(PYTHON) tools/build_firmware.py $(BOARD) --build $(BUILD)
	@tools/make_venv.sh $(PYTHON) $(BUILD)
	@$(BIN)/python tools/make_image.py $(BUILD)/firmware/$(BOARD)

# SIM, a MicroPython, makes the file system with the board file of that bus.
emulate: $(if $(BUS),$(SIM_SOCKETS)) ## boot the image on Espressif's QEMU, with its REPL in this terminal (BOARD, QEMU, BUS, QEMU_OPTIONS)
	@exec $(PYTHON) tools/emulate.py $(BOARD) --build $(BUILD) --qemu $(QEMU) \
	    $(if $(BUS),--uart $(SIM_SOCKETS)) --options='$(QEMU_OPTIONS)'

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
	    fs cp -r modules/spinet : + reset

monitor: $(BUILD)/venv/ready ## show what a board prints; Ctrl-] ends it (PORT)
	@exec $(BIN)/python -m serial.tools.miniterm --raw $(PORT) 115200

test: lint mpy $(SIM_SOCKETS) $(SIM_LWIP) $(CORE) $(NINA_BOARD) $(NINA_DRIVER) $(BOARD_LIBRARIES) test-packages ## check the style, then run every test (as root)
	@echo "Running the tests"
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --no-loadscope-reorder

unit: $(BUILD)/venv/ready ## run the tests that need no build and no root
	@echo "Running the unit tests"
	@$(BIN)/python -m pytest -m alone --numprocesses $(WORKERS) --no-loadscope-reorder host_tests

dist: $(BUILD)/venv/ready ## build the controller package for an index, and check it: build/dist
	@rm -rf $(BUILD)/dist
	@$(DATED) $(STEP) "Building the controller package" $(BUILD)/logs/dist.log \
	    $(BIN)/python -m build --no-isolation --outdir $(BUILD)/dist controller
	@$(STEP) "Checking the controller package" $(BUILD)/logs/dist-check.log \
	    $(BIN)/twine check --strict $(BUILD)/dist/*.whl $(BUILD)/dist/*.tar.gz

release: dist mip $(WEB) ## collect what a release has, with the images that were built: build/release
	@$(DATED) $(BIN)/python tools/make_release.py --build $(BUILD)

lint: $(BUILD)/venv/ready $(WEB) ## check format, style, spelling, types and the GitHub workflow
	@echo "Checking format, style, spelling, types and the GitHub workflow"
	@$(BIN)/ruff format --check --quiet || { echo "run make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet
	@$(BIN)/codespell
	@$(BIN)/mypy --no-error-summary
	@node tools/web/lint_workflow.mjs $(dir $(WEB))node_modules .github/workflows/*.yml

format: $(BUILD)/venv/ready ## put the Python sources in the project's format
	@echo "Formatting the Python sources"
	@$(BIN)/ruff check --select I --fix-only --quiet
	@$(BIN)/ruff format --quiet

# With setarch -R: ThreadSanitizer fails under the address space randomization of many kernels.
tsan: $(BUILD)/venv/ready rig-packages ## run the tests of the C with threads, firmware/lwip and simbus, with ThreadSanitizer (as root)
	@echo "Running the tests of firmware/lwip and simbus with ThreadSanitizer"
	@NETCONN_SANITIZE=thread NETCONN_CHURN=400 SIMBUS_SANITIZE=thread \
	    TSAN_OPTIONS="suppressions=$(CURDIR)/host_tests/c/lwip/tsan.supp" \
	    setarch -R $(BIN)/python -m pytest host_tests/c/lwip host_tests/c/simbus/test_selected.py \
	    --numprocesses $(WORKERS) --no-loadscope-reorder

behaviours: $(SIM_SOCKETS) $(SIM_LWIP) $(NINA_BOARD) $(NINA_DRIVER) $(BOARD_LIBRARIES) test-packages ## run the tests of the behaviours and print their table
	@echo "Running the tests of the behaviours"
	@$(BIN)/python -m pytest host_tests controller/tests --behaviours

# Long runs: each is part of `make test` with smaller numbers.
ENDURANCE := PYTHONPATH=host_tests $(BIN)/python -m endurance
JOINED := $(if $(CONTROLLER),--controller $(CONTROLLER))
CROWD := $(if $(CYCLES),--cycles $(CYCLES)) $(if $(PARALLEL),--parallel $(PARALLEL)) --seed $(SEED)

churn: $(BUILD)/venv/ready rig-packages ## end thousands of connections in every way (CYCLES, PARALLEL, SEED)
	@$(ENDURANCE) churn $(CROWD)

interrupt: $(BUILD)/venv/ready rig-packages ## interrupt transfers of 200 KB anywhere (CYCLES, PARALLEL, SEED)
	@$(ENDURANCE) interrupt $(CROWD)

transfer: $(BUILD)/venv/ready rig-packages ## send both ways over a bad wire (MIB, SEED)
	@$(ENDURANCE) transfer --mib $(MIB) --seed $(SEED)

# Over this computer's own sockets they need no root.
soak: $(SIM) $(BUILD)/venv/ready stack-packages ## see whether SIM misses a time-out of the controller's (TRANSACTIONS, SEED, ROLE, CONTROLLER, STACK)
	@$(ENDURANCE) soak --transactions $(TRANSACTIONS) --seed $(SEED) --role $(ROLE) --stack $(STACK) $(JOINED)

pauses: $(SIM_SOCKETS) $(BUILD)/venv/ready ## stop SIM for longer than a controller waits, again and again (PAUSES, SEED, ROLE, CONTROLLER)
	@$(ENDURANCE) pauses --pauses $(PAUSES) --seed $(SEED) --role $(ROLE) $(JOINED)

handshakes: $(SIM_SOCKETS) $(BUILD)/venv/ready ## see whether handshakes of TLS leave SIM's memory as it was (HANDSHAKES, ROLE)
	@$(ENDURANCE) handshakes --handshakes $(HANDSHAKES) --role $(ROLE)

capture: $(BUILD)/venv/ready rig-packages ## record what a test on lwIP puts on the wire, as a pcap file (TEST)
	@mkdir -p $(BUILD)/captures
	@$(BIN)/python -m pytest -q '$(TEST)' --pcap=$(BUILD)/captures/frames.pcap

BENCH := $(BUILD)/bench
MEASURE := env PYTHONPATH=tools:host_tests/support $(BIN)/python

bench: $(SIM_SOCKETS) $(SIM_LWIP) $(CORE) $(BUILD)/venv/ready rig-packages test-packages ## count and measure what a byte costs, and draw it (BENCH_MIB)
	@mkdir -p $(BENCH)
	@$(MEASURE) bench/core.py $(CORE) --json $(BENCH)/core.json
	@$(MEASURE) bench/sim.py $(SIM_SOCKETS) $(BENCH_MIB) --json $(BENCH)/sim.json
	@$(MEASURE) bench/ready.py $(SIM_SOCKETS)
	@$(PYTHON) tools/with_tap.py $(MEASURE) bench/stacks.py $(BIN)/spinet-controller \
	    $(SIM_SOCKETS) $(SIM_LWIP) $(BENCH_MIB)
	@$(MEASURE) bench/plot.py $(BENCH)/core.json $(BENCH)/sim.json docs/throughput.svg
	@echo "The picture is drawn: docs/throughput.svg"

wifi-table: $(BUILD)/venv/ready ## play the stories of WiFi and write their table into docs/wifi.md
	@$(BIN)/python host_tests/support/wifi_stories.py docs/wifi.md

api: $(BUILD)/venv/ready ## write the controller library's reference into docs/api.md
	@$(BIN)/python tools/make_api.py

rig-packages:
	@tools/need_packages.sh "lwIP" gcc=build-essential ip=iproute2

PICOLIBC := /usr/lib/picolibc/riscv64-unknown-elf/picolibc.specs
riscv-packages:
	@tools/need_packages.sh "RISC-V" riscv64-unknown-elf-gcc=gcc-riscv64-unknown-elf \
	    $(PICOLIBC)=picolibc-riscv64-unknown-elf

stack-packages:
	@$(if $(WITH_TAP),tools/need_packages.sh "lwIP" ip=iproute2)

test-packages:
	@tools/need_packages.sh "the tests" avahi-browse=avahi-utils avahi-daemon=avahi-daemon \
	    'chromium=chromium|chromium-browser' cmake=cmake curl=curl dbus-daemon=dbus-daemon dig=bind9-dnsutils \
	    ip=iproute2 lftp=lftp mosquitto=mosquitto mosquitto_sub=mosquitto-clients \
	    openssl=openssl 'qemu-system-riscv32=qemu-system-riscv|qemu-system-misc' \
	    telnet=inetutils-telnet

clean: ## remove what was built, but keep what was downloaded
	@echo "Removing what was built"
	@rm -rf $(addprefix $(BUILD)/,sim sim-lwip netconn-rig spi-rig qemu firmware check-idf mip mpy mpy-cross \
	    dist release logs hypothesis) \
	    $(BUILD)/*_cache

distclean: ## remove everything that is not a source
	@echo "Removing build/ and all that was downloaded"
	@rm -rf $(BUILD) controller/*.egg-info

# Needs no time stamp of a requirement file: what it holds decides, so a checkout that changes
# branches back and forth installs again only when it has to.
$(BUILD)/venv/ready: FORCE
	@tools/make_venv.sh $(PYTHON) $(BUILD)

$(WEB): FORCE
	@cmp -s tools/web/package-lock.json $@ || { \
	    tools/need_packages.sh "the release and the workflow" npm=npm node=nodejs && \
	    rm -rf $(@D) && mkdir -p $(@D) && cp tools/web/*.json $(@D) && \
	    $(STEP) "Installing the npm packages that tools/web pins" $(BUILD)/logs/web.log \
	        npm ci --prefix $(@D) --cache $(@D)/cache --ignore-scripts --no-audit --no-fund && \
	    cp tools/web/package-lock.json $@; }

# Where MicroPython's source is. The file changes only when the answer does.
$(BUILD)/micropython.source: FORCE
	@$(PYTHON) tools/fetch_micropython.py --build $(BUILD) --record $@

$(LWIP_READY): FORCE
	@$(PYTHON) tools/fetch_lwip.py --build $(BUILD)

$(MBEDTLS_READY): FORCE
	@$(PYTHON) tools/fetch_mbedtls.py --build $(BUILD)

# Which files SIM is made of, so that one that was removed is noticed too.
SIM_SOURCES := $(sort manifest.py tools/fold_constants.py $(shell find modules -name '*.py') \
    $(wildcard host_tests/vm/*.py) \
    $(shell find boards/SIM -type f -not -path '*/__pycache__/*' -not -path 'boards/SIM/lwip/*') \
    $(shell find firmware/tls_session firmware/common -type f))
LWIP_SOURCES := $(sort $(shell find firmware/lwip boards/SIM/lwip -type f) \
    boards/chip/sdkconfig.chip)

$(BUILD)/sim.sources: FORCE
	@mkdir -p $(@D)
	@echo '$(SIM_SOURCES)' | cmp -s - $@ || echo '$(SIM_SOURCES)' >$@

$(BUILD)/sim-lwip.sources: FORCE
	@mkdir -p $(@D)
	@echo '$(LWIP_SOURCES)' | cmp -s - $@ || echo '$(LWIP_SOURCES)' >$@

# A checkout of one's own may be worked on; Debian's source never changes.
OWN_SOURCES := $(if $(MICROPY_DIR),$(wildcard $(addprefix $(MICROPY_DIR)/,\
    py/*.[ch] extmod/*.[ch] shared/*/*.[ch] ports/unix/*.[ch] mpy-cross/*.[ch])))

$(MPY_CROSS): $(BUILD)/micropython.source $(OWN_SOURCES) tools/build_micropython.sh
	@test -x $@ || tools/need_packages.sh "the build" gcc=build-essential
	@$(STEP) "Building mpy-cross" $(BUILD)/logs/mpy-cross.log \
	    tools/build_micropython.sh mpy-cross $(BUILD)

$(SIM_SOCKETS): $(MPY_CROSS) $(BUILD)/sim.sources $(SIM_SOURCES) $(MBEDTLS_READY)
	@$(STEP) "Building SIM, MicroPython with the firmware frozen in" $(BUILD)/logs/sim.log \
	    tools/build_micropython.sh sim $(BUILD)

$(SIM_LWIP): $(MPY_CROSS) $(BUILD)/sim.sources $(SIM_SOURCES) \
    $(LWIP_READY) $(MBEDTLS_READY) $(BUILD)/sim-lwip.sources $(LWIP_SOURCES)
	@$(STEP) "Building SIM with lwIP" $(BUILD)/logs/sim-lwip.log \
	    tools/build_micropython.sh sim-lwip $(BUILD)
QEMU_SOURCES := $(sort manifest.py tools/fold_constants.py boards/SIM/radio.py \
    $(shell find modules boards/QEMU_RV32 boards/chip boards/SPINET_ESP32C3 -name '*.py') \
    $(wildcard boards/QEMU_RV32/memchip/* boards/QEMU_RV32/slabs/* firmware/slabs/*) \
    $(wildcard boards/QEMU_RV32/tls/* boards/SIM/mbedtls/* firmware/tls_session/*) \
    $(wildcard firmware/common/*) $(wildcard host_tests/vm/*.py) \
    host_tests/support/fake_pins.py host_tests/support/raw_controller.py)

$(BUILD)/qemu.sources: FORCE
	@mkdir -p $(@D)
	@echo '$(QEMU_SOURCES)' | cmp -s - $@ || echo '$(QEMU_SOURCES)' >$@

$(CORE): $(MPY_CROSS) $(BUILD)/qemu.sources $(QEMU_SOURCES) $(MBEDTLS_READY) | riscv-packages
	@$(STEP) "Building the firmware for an emulated RISC-V core" $(BUILD)/logs/qemu.log \
	    tools/build_micropython.sh qemu $(BUILD)

# MicroPython's nina driver, which the tests join to SIM: under a board's modules, and alone.
NINA_SOURCES := $(sort $(shell find host_tests/support/nina_board -type f))

$(NINA_BOARD): $(BUILD)/micropython.source $(OWN_SOURCES) $(NINA_SOURCES) $(MBEDTLS_READY) tools/build_micropython.sh
	@$(STEP) "Building MicroPython as a board with a NINA" $(BUILD)/logs/nina-board.log \
	    tools/build_micropython.sh nina-board $(BUILD)

$(BOARD_LIBRARIES): $(BUILD)/venv/ready tools/micropython.txt tools/fetch_board_libraries.sh
	@$(STEP) "Fetching MicroPython's libraries for boards" $(BUILD)/logs/board-libraries.log \
	    tools/fetch_board_libraries.sh $(BUILD)

$(NINA_DRIVER): $(BUILD)/micropython.source $(OWN_SOURCES) $(NINA_SOURCES)
	@mkdir -p $(@D)
	@$(STEP) "Building MicroPython's nina driver alone" $(BUILD)/logs/nina-driver.log \
	    $(MAKE) -s -C host_tests/support/nina_board/alone SOURCE=$$(cat $<) INTO=$(@D)
