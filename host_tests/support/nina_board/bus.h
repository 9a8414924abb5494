/* The controller's side of the virtual bus, whose module is a NINA. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { READY = 1, CS, RESET, GPIO0, PINS };

/* Take a connection that a module has made. False when it says something else than NINA's HELLO. */
bool bus_open(int fd);

/* The module's power is switched off. */
void bus_close(void);

/* Drive a pin. */
void bus_drive(int pin, int level);

/* The level of a pin, by what has come until now. */
int bus_level(int pin);

/* Wait for something to come, no longer than this. False when the module has gone. */
bool bus_wait(int ms);

/* Clock n bytes: out of tx, where it is not NULL, and into rx, where that is not NULL. Without rx,
 * nothing is waited for. False when the module has gone. */
bool bus_clock(const uint8_t *tx, uint8_t *rx, size_t n);
