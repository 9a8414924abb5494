/* newlib has this name for it too. */
#include <sys/reent.h>
