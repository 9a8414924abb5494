# Stop with one line, before anything is built, when a value given to make cannot be right.

digits := 0 1 2 3 4 5 6 7 8 9
remove_each = $(if $1,$(call remove_each,$(wordlist 2,10,$1),$(subst $(firstword $1),,$2)),$2)
is_number = $(if $1,$(if $(call remove_each,$(digits),$1),,yes))
is_port = $(if $(call is_number,$1),$(shell { [ $1 -ge 1 ] && [ $1 -le 65535 ]; } 2>/dev/null && echo yes))
check_port = $(if $(call is_port,$($1)),,$(error $1 is a port from 1 to 65535, not '$($1)'))

ROLES := module-clocked controller-clocked
STACKS := sockets lwip

ifneq ($(filter build run sim soak,$(MAKECMDGOALS)),)
ifneq ($(words $(STACK)) $(filter $(STACK),$(STACKS)),1 $(STACK))
$(error STACK is sockets or lwip, not '$(STACK)')
endif
endif

ifneq ($(filter run sim soak pauses,$(MAKECMDGOALS)),)
ifneq ($(words $(ROLE)) $(filter $(ROLE),$(ROLES)),1 $(ROLE))
$(error ROLE is module-clocked or controller-clocked, not '$(ROLE)')
endif
endif
ifneq ($(filter run,$(MAKECMDGOALS)),)
$(call check_port,HTTP_PORT)
$(foreach name,HTTPS_PORT FTP_PORT TELNET_PORT,$(if $(filter none 0,$($(name))),,$(call check_port,$(name))))
endif
ifneq ($(filter sim,$(MAKECMDGOALS)),)
$(call check_port,PORT)
endif
check_number = $(if $(call is_number,$($1)),,$(error $1 is a number, not '$($1)'))
ifneq ($(filter test,$(MAKECMDGOALS)),)
$(call check_number,WORKERS)
endif
ifneq ($(filter churn interrupt,$(MAKECMDGOALS)),)
$(if $(CYCLES),$(call check_number,CYCLES))
$(if $(PARALLEL),$(call check_number,PARALLEL))
endif
ifneq ($(filter soak pauses,$(MAKECMDGOALS)),)
$(call check_number,SEED)
$(call check_number,TRANSACTIONS)
$(call check_number,PAUSES)
ifneq ($(words $(CONTROLLER)) $(filter $(CONTROLLER),strict rrf),$(if $(CONTROLLER),1,0) $(CONTROLLER))
$(error CONTROLLER is strict or rrf, not '$(CONTROLLER)')
endif
endif
ifneq ($(filter churn interrupt transfer,$(MAKECMDGOALS)),)
$(call check_number,SEED)
$(call check_number,MIB)
endif
ifneq ($(filter bench,$(MAKECMDGOALS)),)
$(call check_number,BENCH_MIB)
endif
ifneq ($(filter capture,$(MAKECMDGOALS)),)
ifeq ($(TEST),)
$(error which test? make capture TEST=host_tests/test_on_the_wire.py)
endif
ifeq ($(wildcard $(firstword $(subst ::, ,$(TEST)))),)
$(error there is no test $(TEST): for instance make capture TEST=host_tests/test_on_the_wire.py)
endif
endif
# Tests make network namespaces.
ifneq ($(filter test behaviours churn interrupt transfer capture bench $(if $(filter lwip,$(STACK)),soak),$(MAKECMDGOALS)),)
ifneq ($(shell id -u),0)
$(error the tests of the lwIP stack make network namespaces: run sudo make $(firstword $(MAKECMDGOALS)))
endif
endif

BOARDS := $(notdir $(patsubst %/,%,$(dir $(wildcard boards/*/mpconfigboard.cmake))))

ifneq ($(filter firmware flash budget emulate,$(MAKECMDGOALS)),)
ifneq ($(words $(BOARD)) $(filter $(BOARD),$(BOARDS)),1 $(BOARD))
$(error which chip? BOARD is one of $(BOARDS), not '$(BOARD)')
endif
endif

ifneq ($(filter emulate,$(MAKECMDGOALS)),)
ifeq ($(QEMU),)
$(error which emulator? QEMU names Espressif's qemu-system-riscv32; docs/hardware.md, "On an emulated chip")
endif
ifneq ($(words $(BUS)) $(filter $(BUS),uart),$(if $(BUS),1,0) $(BUS))
$(error BUS is uart or nothing, not '$(BUS)')
endif
endif

ifneq ($(filter flash repl deploy monitor,$(MAKECMDGOALS)),)
ifeq ($(call is_number,$(PORT)),yes)
$(error which serial port? for instance make $(firstword $(MAKECMDGOALS)) PORT=/dev/ttyUSB0)
endif
ifeq ($(wildcard $(PORT)),)
$(error there is no serial port $(PORT); is the board connected? docs/hardware.md, "Which port")
endif
endif
