/* What newlib's header of this name declares and picolibc has no need of: ESP-IDF's headers name
 * these types, our C never does. For make check-idf alone; nothing that is linked has seen it. */
#ifndef SPINET_CHECK_SYS_REENT_H
#define SPINET_CHECK_SYS_REENT_H

#include <stddef.h>

struct _reent {
    int _errno;
};

#endif
