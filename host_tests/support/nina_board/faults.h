/* What a test lets go wrong between the driver and the module, each once. */

#include <stdint.h>

typedef struct {
    int32_t cut_after; /* so many bytes more are clocked, then the transfer fails; -1: no cut */
    int32_t gap_after; /* the clock stands still after so many bytes more; -1: no gap */
    int32_t gap_ms;
    int32_t give_up_ms; /* how long a reply is waited for, as if Ctrl-C ended it; 0: for ever */
    void (*before_release)(void); /* called just before CS rises after a transfer; or NULL */
} nina_faults_t;

extern nina_faults_t nina_faults;
