# What a chip has in C, in memory: for the emulated core, whose instructions are counted.

SRC_USERMOD_C += $(USERMOD_DIR)/memchip.c
