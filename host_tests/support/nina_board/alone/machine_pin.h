/* In place of a port's own: a pin of the module, as its board's `machine.Pin` has it. */

enum { MACHINE_PIN_MODE_IN, MACHINE_PIN_MODE_OUT, MACHINE_PIN_MODE_ANALOG };

typedef struct {
    int id;
    bool is_output;
} machine_pin_obj_t;
