#ifndef SOC_CAPS_H
#define SOC_CAPS_H

#ifndef FAKE_WITHOUT_PCNT
#define SOC_PCNT_SUPPORTED 1
#endif
#define SOC_SPI_PERIPH_NUM 3
#define SOC_SPI_MAX_CS_NUM 3

#endif
