/* mbedTLS on the emulated core: SIM's, without the computer underneath. */
#include "../../SIM/mbedtls/mbedtls_config.h"

#undef MBEDTLS_AESNI_C
#undef MBEDTLS_FS_IO
#undef MBEDTLS_HAVE_TIME
#undef MBEDTLS_HAVE_TIME_DATE
#undef MBEDTLS_THREADING_C
#undef MBEDTLS_THREADING_PTHREAD
#define MBEDTLS_NO_PLATFORM_ENTROPY
#define MBEDTLS_ENTROPY_HARDWARE_ALT

/* Seeding goes deepest: here each random number does it, elsewhere the first and each ten thousandth. */
#define MBEDTLS_CTR_DRBG_RESEED_INTERVAL 1
