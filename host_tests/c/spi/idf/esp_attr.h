#ifndef ESP_ATTR_H
#define ESP_ATTR_H

#define IRAM_ATTR

#endif
