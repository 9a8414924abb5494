/* What lwIP has taken from the heap, counted, and the PCB limit of MicroPython's ESP32 port. */
#ifndef SPINET_LWIP_HEAP_H
#define SPINET_LWIP_HEAP_H

#include <stdint.h>

/* Bytes that lwIP holds now; each block counts for what malloc() gave, and for a header. */
int heap_bytes(void);

/* As many bytes as a chip has; 0: as many as this computer has. What platform_memory_free() tells. */
void heap_limit_bytes(int most);

/* Blocks of any kind that lwIP holds now. */
int heap_blocks(void);

/* Structures of one memp type (enum memp_t) in use now. */
int heap_in_use(int type);

/* The limit of active PCBs; the chips' (MEMP_NUM_TCP_PCB) unless a test sets another. */
void heap_limit_pcbs(int most);

/* Refuse every allocation while more than `most` blocks are in use; negative: no limit. */
void heap_limit_blocks(int most);

#endif
