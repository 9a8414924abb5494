/* In place of MicroPython's own: what its nina driver uses of it. */

#define MP_ETIMEDOUT (110)
