"""The hot path: the words that it shares with the rest, and the viper functions on them.

While bytes move, a controller sends little else than a connGetStatus and a connRead in turn. One
call of a Python method takes as long as all the machine code that such a transaction needs, so
turn() is one long function, unlike the rest of the firmware. It waits, takes the stack's events,
and serves null, connGetStatus, connRead and connWrite in the usual cases. For all else it returns
to Loop.run(), and Link, Commands and Connection serve it. It calls nina/usual.py for NINA's usual
commands.

Viper reads and writes arrays of small numbers (words) without a call, so everything that turn() and
Python both need is in such arrays. These are the prefixes of their words' names:

    ROW_      `rows` of the ConnectionManager: the slots and the indexes of the stack
    MARK_     `marks` of each slot's ring
    SIGNAL_   `signals` of the link driver: edges of the pins, and the armed phase
    LOOP_     `words` of the Bell and the Loop

No word is negative. The service thread writes all of them, except SIGNAL_EDGE, SIGNAL_RELEASED and
SIGNAL_UNDER_WAY (pin interrupts), LOOP_STOP, LOOP_STALE and LOOP_STIRRED (any thread).

The compiler folds only constants of the same module. So those of wire.py and tcp/stack.py that
viper needs are repeated at the end of the list, and a test compares them.
"""

import micropython
from micropython import const

# Words of `rows`. Of slot i:
ROW_HANDLE = const(0)  # + i: the stack's handle, 0 when it has none
ROW_MAY = const(8)  # + i: what turn() may do by itself, as MAY_ flags
ROW_OWED = const(16)  # + i: bytes accepted, and not acknowledged at the last check
# Of all slots, as bit maps or bytes:
ROW_WRITING = const(24)  # slots with bytes that are unacknowledged, as far as is known
ROW_CONNECTED = const(25)
ROW_CLOSED = const(26)  # otherEndClosed and aborted
ROW_RSSI = const(27)  # as a byte; the loop writes it
ROW_DELIVER = const(28)  # stack indexes with events that are not delivered yet
ROW_TIMED = const(29)  # slots that have a deadline; settle() updates it
ROW_SOONEST = const(30)  # ticks, not after the first of these deadlines; valid while TIMED is not 0
ROW_NOW = const(31)  # ticks at the start of this pass
# Of each index of the stack:
ROW_OWNED = const(32)  # + index: the handle as it was attached, 0 when it has no owner
ROW_INTEREST = const(64)  # + index: events that its owner wants
ROW_SEEN = const(96)  # + index: events taken from the stack and not yet delivered
# Of all slots, as bit maps, which turn() does not need:
ROW_OCCUPIED = const(128)  # not free
ROW_OVER = const(129)  # in closeReady
# Of slot i:
ROW_FACTS = const(130)  # + i: the last `facts` of settle()
ROW_SPACE = const(138)  # + i: bytes that a connWrite may bring, as its ConnStatus has them
ROW_WORDS = const(146)

MAY_READ = const(1)  # connected, and the peer has not ended the connection
MAY_WRITE = const(2)  # bytes can be sent, and the ring is empty: write to the stack directly
MAY_GATHER = const(4)  # bytes can be sent
MAY_LOOK = const(8)  # beside one of these: return to Python afterwards, as TLS may have events

# Words of `marks`: a ring holds what was accepted and not yet taken by the stack
MARK_COUNT = const(0)  # bytes held
MARK_START = const(1)  # index of the oldest byte
MARK_PUSHED = const(2)  # how many of them, from the oldest on, the controller has pushed (PSH)
MARK_URGENT = const(3)  # how many of them leave at once, even if they do not fill a segment
MARK_FLUSH_AT = const(4)  # ticks when the others become urgent; valid while there are others
MARK_WORDS = const(5)

# Words of `signals`
SIGNAL_EDGE = const(0)  # TRANSFER_READY rose (controller-clocked: in mid-transaction)
# module-clocked:
SIGNAL_LOOKED = const(1)  # ticks when the last transaction ended or the level was last read
# controller-clocked:
SIGNAL_PHASE = const(2)  # the present phase, PHASE_...
SIGNAL_ARMED = const(3)  # bytes of the armed phase; 0: none is armed
SIGNAL_SINCE = const(4)  # ticks when it was armed, or when the last phase ended
SIGNAL_RELEASED = const(5)  # CS rose during the phase
SIGNAL_SERVED_HOT = const(6)  # turn() has answered this request; the Link was not called
SIGNAL_SIZE = const(7)  # bytes of the data phase of such a request
SIGNAL_UNDER_WAY = const(8)  # the request's edge has come: another one begins a new transaction
SIGNAL_TO_ARM = const(9)  # bytes of PHASE that turn() has to arm; 0: nothing to arm
SIGNAL_WORDS = const(10)

PHASE_HEADER = const(0)  # armed, waiting for a request
PHASE_ANSWER = const(1)
PHASE_PAYLOAD = const(2)
PHASE_ENDING = const(3)  # all phases have crossed, CS is still low

# Words of `loop`
LOOP_NOW = const(0)  # ticks at the start of this pass
LOOP_DUE = const(1)  # ticks when turn() has to return to Python
LOOP_STOP = const(2)  # service.stop() was called: return at the end of this pass
LOOP_STALE = const(3)  # Python has to tidy up at the end of this pass: events were delivered, or a
# thread has an answer; cleared before these are handled
LOOP_PASSES = const(4)  # how many are left
LOOP_TAKEN = const(5)  # for WHY_BROKEN and WHY_FAILED: the stack's error, + TAKEN_ZERO
LOOP_FAR = const(6)  # ticks when the first task is due
LOOP_STIRRED = const(7)  # poll the tasks at the end of this pass; cleared before they are polled
LOOP_WORDS = const(8)

TAKEN_ZERO = const(32)  # an error of the stack plus this is not negative

# Why turn() returned, so what Python has to do
WHY_DONE = const(0)  # the passes are over, or STOP
WHY_TIDY = const(1)  # something is due, or was delivered
WHY_EVENTS = const(2)  # deliver events, then go on with this pass
WHY_PLAIN = const(3)  # module-clocked: the header is in rx, CS is low; Python does the rest
WHY_BROKEN = const(5)  # a connWrite was queued; flushing the queue failed with the error TAKEN
WHY_FAILED = const(6)  # a connRead failed with the error TAKEN, and was answered with no data
WHY_PORT = const(7)  # the controller-clocked link driver has to serve

# Indexes of `kit`, the functions and arrays of turn(); ConnectionManager and Loop.bind() fill it
KIT_WAIT = const(0)  # the stack's, as are PENDING and EVENTS
KIT_TICKS = const(1)
KIT_PENDING = const(2)
KIT_EVENTS = const(3)
KIT_ROWS = const(4)
KIT_LOOP = const(5)
KIT_COUNT = const(6)
KIT_SIGNALS = const(7)
KIT_TX = const(8)
KIT_RX = const(9)
KIT_RECORDS = const(10)  # for each slot, as are the next four, as slots have different stacks
KIT_READABLE = const(11)
KIT_READ = const(12)
KIT_RECVED = const(13)
KIT_WRITE = const(14)
KIT_ROLE = const(15)  # MODULE_CLOCKED, CONTROLLER_CLOCKED, SELECTED; 0: the link driver serves all
KIT_EXCHANGE = const(16)  # SELECTED: serve() of nina/usual.py, which has names for its places
KIT_CS = const(17)  # value() of the pin: an output for SpiMaster, an input for SpiSlave
KIT_REQUESTED = const(18)  # TRANSFER_READY's level
KIT_MARKS = const(19)  # for each slot
KIT_MEMORY = const(20)  # for each slot: its ring's memory
KIT_EXCHANGE_LAST = const(21)  # as EXCHANGE, but it may raise CS at its end
KIT_ARM = const(22)
KIT_CLOCKED = const(23)
KIT_DATA_READY = const(24)
KIT_STORE = const(25)  # store, drain and settle: from here, calls need no look-up by name
KIT_DRAIN = const(26)
KIT_SETTLE = const(27)
KIT_PLACES = const(28)

MODULE_CLOCKED = const(1)
CONTROLLER_CLOCKED = const(2)
SELECTED = const(3)  # NINA's link

SEGMENT = const(1440)  # payload of a full segment: TCP_MSS of lwIP as ESP-IDF sets it
FLUSH_MS = const(20)  # without push, a byte waits no longer than this for a full segment
RING_SIZE = const(4096)  # of a slot: a power of two, at least twice the largest data phase
PHASE_TIMEOUT_MS = const(500)  # a phase that is not clocked for so long ends the transaction
ALL_SLOTS = const(0xFF)

# `facts` of settle(), and ROW_FACTS: the slot's number in bits 0 to 2, and
FACT_STATE = const(3)  # the shift of the slot's state
FACT_ENDING = const(64)  # the peer has ended the connection; there may be unread bytes
FACT_BROKEN = const(128)  # nothing can be sent to it any more
FACT_FOREIGN = const(256)  # its stack is not the manager's

# `where` of store()
STORE_PUSH = const(2)  # send all at once; the same bit as the flag of a connWrite
STORE_OFFSET = const(4)  # the shift of the offset in the data
STORE_COUNT = const(16)  # the shift of the number of bytes

_MASK = const(0x3FFFFFFF)  # of ticks and counts
_HALF = const(0x20000000)

# As duet/wire.py and tcp/stack.py have them
_VERSION = const(0x3E)
_INVALID_VERSION = const(0xC9)
_NULL = const(0)
_READ = const(4)
_WRITE = const(5)
_STATUS = const(6)
_CLOSE_AFTER_WRITE = const(0x01)
_PUSH = const(0x02)
_SLOTS = const(8)
_MAX_DATA = const(2048)
_FIRST_PHASE = const(8)
_RESPONSE = const(8)
_RESPONSE_WORD = const(2)
_DATA = const(12)
_STATUS_SIZE = const(20)
_AMOUNT = const(12)  # of a ConnStatus: bytesAvailable
_ALWAYS = const(50)  # events: connected, closed, error
_ROOM = const(8)
_WOULDBLOCK = const(-7)
_FREE = const(0)
_CONNECTING = const(1)
_CONNECTED = const(2)
_OTHER_END_CLOSED = const(3)
_ABORTED = const(4)
_CLOSE_PENDING = const(5)
_CLOSE_READY = const(6)
_INDEX_MASK = const(31)

_WITH_DEADLINE = const(1 << _CONNECTING | 1 << _CLOSE_PENDING)  # these states
_SEEN_AS_CLOSED = const(1 << _OTHER_END_CLOSED | 1 << _ABORTED)


@micropython.viper
def turn(kit, passes: int, resumed: int) -> int:
    """Run up to `passes` passes; returns a WHY_. `resumed`: 1 to go on in one, after its events."""
    wait = kit[KIT_WAIT]
    ticks = kit[KIT_TICKS]
    pending = kit[KIT_PENDING]
    events = kit[KIT_EVENTS]
    all_rows = kit[KIT_ROWS]
    rows = ptr32(all_rows)
    loop = ptr32(kit[KIT_LOOP])
    count = ptr32(kit[KIT_COUNT])
    signals = ptr32(kit[KIT_SIGNALS])
    tx = kit[KIT_TX]
    rx = kit[KIT_RX]
    sent = ptr8(tx)
    sent_words = ptr32(tx)
    header = ptr8(rx)
    records = kit[KIT_RECORDS]
    readable = kit[KIT_READABLE]
    read = kit[KIT_READ]
    recved = kit[KIT_RECVED]
    write = kit[KIT_WRITE]
    role = int(kit[KIT_ROLE])
    exchange = kit[KIT_EXCHANGE]
    exchange_last = kit[KIT_EXCHANGE_LAST]
    cs = kit[KIT_CS]
    requested = kit[KIT_REQUESTED]
    all_marks = kit[KIT_MARKS]
    memories = kit[KIT_MEMORY]
    arm = kit[KIT_ARM]
    clocked = kit[KIT_CLOCKED]
    data_ready = kit[KIT_DATA_READY]
    its_store = kit[KIT_STORE]
    its_drain = kit[KIT_DRAIN]
    its_settle = kit[KIT_SETTLE]
    now = loop[LOOP_NOW]
    index = 0
    while True:
        armed = signals[SIGNAL_TO_ARM]  # how many bytes of a phase have to be armed
        if armed:
            signals[SIGNAL_TO_ARM] = 0
        elif resumed:
            resumed = 0
        else:
            if passes == 0 or loop[LOOP_STOP]:
                return WHY_DONE
            passes -= 1
            loop[LOOP_PASSES] = passes
            ms = loop[LOOP_DUE] - now & _MASK
            if ms >= _HALF or signals[SIGNAL_EDGE]:
                ms = 0
            elif role == CONTROLLER_CLOCKED and signals[SIGNAL_PHASE] == PHASE_ENDING and int(cs()):
                ms = 0  # CS rose during the last wait, so no further edge would end this one
            wait(ms)
            now = int(ticks())
            loop[LOOP_NOW] = now
            rows[ROW_NOW] = now
            todo = int(pending())
            if todo:
                index = 0
                found = 0
                while todo:
                    if todo & 1:
                        handle = rows[ROW_OWNED + index]
                        if handle:
                            seen = int(events(handle)) & rows[ROW_INTEREST + index]
                            if seen:
                                rows[ROW_SEEN + index] = rows[ROW_SEEN + index] | seen
                                found |= 1 << index
                        else:
                            found |= 1 << index
                    todo >>= 1
                    index += 1
                if found:
                    rows[ROW_DELIVER] = found
                    return WHY_EVENTS

        # How far is the transaction? `asked`: a header is in rx. `over`: all bytes have crossed.
        asked = 0
        over = 0
        size = 0
        amount = 0
        phase = signals[SIGNAL_PHASE]
        if armed:
            pass
        elif role == MODULE_CLOCKED:
            if signals[SIGNAL_EDGE]:
                signals[SIGNAL_EDGE] = 0
                if not int(requested()):
                    return WHY_TIDY  # it was withdrawn
                cs(0)
                exchange(tx, rx, 0, _FIRST_PHASE)
                if header[0] == _VERSION:
                    signals[SIGNAL_EDGE] = 0  # an edge during the header belongs to this request
                asked = 1
        elif role == CONTROLLER_CLOCKED:
            passed = int(clocked())
            if signals[SIGNAL_EDGE] or signals[SIGNAL_ARMED] == 0:
                return WHY_PORT
            if phase == PHASE_ENDING:
                if int(cs()):
                    if signals[SIGNAL_SERVED_HOT] == 0:
                        return WHY_PORT
                    signals[SIGNAL_SERVED_HOT] = 0
                    header[0] = _INVALID_VERSION
                    phase = PHASE_HEADER
                    armed = _FIRST_PHASE
            elif passed < signals[SIGNAL_ARMED]:
                if passed and signals[SIGNAL_RELEASED]:
                    return WHY_PORT
            elif phase == PHASE_HEADER:
                asked = 1
            elif signals[SIGNAL_SERVED_HOT] == 0:
                return WHY_PORT
            else:
                size = signals[SIGNAL_SIZE]
                if phase == PHASE_ANSWER and size:
                    phase = PHASE_PAYLOAD
                    armed = size + 3 & 0xFFC
                else:
                    over = 1
        elif role == SELECTED:
            passed = int(clocked())
            if passed >= 0 or index or loop[LOOP_STALE]:  # index: the stack had events
                why = int(exchange(kit, passed, index | loop[LOOP_STALE]))
                if why:
                    return why
                index = 0

        command = header[1]
        socket = header[2]
        flags = header[3]
        may = 0
        if asked:
            length = header[4] | header[5] << 8
            size = -1  # bytes of the data phase; -1: leave this transaction to Python
            if header[0] == _VERSION and length <= _MAX_DATA:
                if command == _NULL:
                    size = 0
                elif socket < _SLOTS:
                    if command == _STATUS:
                        record = ptr8(records[socket])  # settle() updates this part of it
                        index = 0
                        while index < 16:
                            sent[_DATA + index] = record[index]
                            index += 1
                        handle = rows[ROW_HANDLE + socket]
                        if handle:
                            amount = int(readable[socket](handle))
                            sent[_DATA + _AMOUNT] = amount
                            sent[_DATA + _AMOUNT + 1] = amount >> 8
                        sent[_DATA + 3] = rows[ROW_RSSI]
                        sent[_DATA + 16] = rows[ROW_CONNECTED]
                        sent[_DATA + 17] = 0
                        sent[_DATA + 18] = rows[ROW_CLOSED]
                        sent[_DATA + 19] = 0
                        size = _STATUS_SIZE
                    elif command == _READ:
                        may = rows[ROW_MAY + socket]
                        if may & MAY_READ:
                            handle = rows[ROW_HANDLE + socket]
                            amount = header[6] | header[7] << 8
                            if amount > _MAX_DATA:
                                amount = _MAX_DATA
                            amount = int(read[socket](handle, tx, _DATA, amount))
                            if amount > 0:
                                recved[socket](handle, amount)
                                size = amount
                            else:
                                size = 0  # an error is returned to Python below
                    elif command == _WRITE and length and not flags & _CLOSE_AFTER_WRITE:
                        may = rows[ROW_MAY + socket]
                        if may & MAY_GATHER and length <= rows[ROW_SPACE + socket]:
                            size = length
            if size < 0:
                return WHY_PLAIN if role == MODULE_CLOCKED else WHY_PORT
            sent_words[_RESPONSE_WORD] = size
            if role == MODULE_CLOCKED:
                exchange_last(tx, rx, _RESPONSE, 4 + (size + 3 & 0xFFC))
                over = 1
            else:
                signals[SIGNAL_SERVED_HOT] = 1
                signals[SIGNAL_SIZE] = size
                phase = PHASE_ANSWER
                armed = 4

        if armed:
            data_ready(0)
            signals[SIGNAL_PHASE] = phase
            signals[SIGNAL_ARMED] = armed
            signals[SIGNAL_SINCE] = now
            signals[SIGNAL_RELEASED] = 0
            offset = 0
            if phase == PHASE_HEADER:
                signals[SIGNAL_UNDER_WAY] = 0
            else:
                offset = _RESPONSE if phase == PHASE_ANSWER else _DATA
                due = now + PHASE_TIMEOUT_MS & _MASK
                if (due - loop[LOOP_DUE] & _MASK) >= _HALF:
                    loop[LOOP_DUE] = due
            arm(tx, rx, offset, armed)
            data_ready(1)

        if over:
            taken = size
            if command == _WRITE:
                may = rows[ROW_MAY + socket]
                if role == CONTROLLER_CLOCKED and not may & MAY_GATHER:
                    return WHY_PORT  # the connection ended while the data crossed
                rows[ROW_OWED + socket] = rows[ROW_OWED + socket] + size
                rows[ROW_WRITING] = rows[ROW_WRITING] | 1 << socket
                taken = 0  # write directly to the stack: full segments, or all if it is pushed
                if may & MAY_WRITE:
                    more = 0 if flags & _PUSH else 1
                    index = size - size % SEGMENT if more else size
                    if index:
                        handle = rows[ROW_HANDLE + socket]
                        taken = int(write[socket](handle, rx, _DATA, index, more))
            if role == MODULE_CLOCKED:
                cs(1)
                signals[SIGNAL_LOOKED] = int(ticks())  # when it ended; `now` is when it began
            else:
                data_ready(0)
                signals[SIGNAL_PHASE] = PHASE_ENDING
                signals[SIGNAL_SINCE] = now
            count[0] = count[0] + 1 & _MASK
            if taken < size:  # put the rest into the ring, and send from there what may leave
                error = 0
                if taken < 0:
                    error = taken
                    taken = 0
                its_marks = all_marks[socket]
                memory = memories[socket]
                index = flags & _PUSH | _DATA + taken << STORE_OFFSET | size - taken << STORE_COUNT
                if int(its_store(its_marks, memory, rx, index)) and error == 0:
                    handle = rows[ROW_HANDLE + socket]
                    error = int(its_drain(its_marks, memory, write[socket], handle))
                its_settle(all_rows, its_marks, records[socket], rows[ROW_FACTS + socket])
                if error < 0 and error != _WOULDBLOCK:
                    loop[LOOP_TAKEN] = error + TAKEN_ZERO
                    return WHY_BROKEN
                if rows[ROW_TIMED] and (rows[ROW_SOONEST] - loop[LOOP_DUE] & _MASK) >= _HALF:
                    loop[LOOP_DUE] = rows[ROW_SOONEST]

        if amount < 0 and amount != _WOULDBLOCK:
            loop[LOOP_TAKEN] = amount + TAKEN_ZERO
            return WHY_FAILED
        late = now - loop[LOOP_DUE] & _MASK
        if may & MAY_LOOK or role == 0 or loop[LOOP_STALE] or late < _HALF:
            return WHY_TIDY


@micropython.viper
def store(marks: ptr32, memory, data, where: int) -> int:
    """Put bytes of a connWrite into a ring; returns 1 when bytes of the ring may leave.

    `where`: see STORE_PUSH, STORE_OFFSET and STORE_COUNT. The caller has checked the room.
    """
    at = where >> STORE_OFFSET & 0xFFF
    n = where >> STORE_COUNT
    held = marks[MARK_COUNT]
    if n:
        into = marks[MARK_START] + held & RING_SIZE - 1
        run = RING_SIZE - into
        if run > n:
            run = n
        move = copy  # one look-up for both calls
        move(memory, data, into << 16 | at, run)
        if run < n:
            move(memory, data, at + run, n - run)
        held += n
        marks[MARK_COUNT] = held
    if where & STORE_PUSH:
        marks[MARK_PUSHED] = held
        marks[MARK_URGENT] = held
    return 1 if held >= SEGMENT or marks[MARK_URGENT] else 0


@micropython.viper
def drain(marks: ptr32, memory, write, handle: int) -> int:
    """Move the bytes that may leave from a ring to the stack, as far as the stack has room.

    `write` is the stack's. Returns its error if it failed, else 0 or more. The stack reports when
    there is room again.
    """
    held = marks[MARK_COUNT]
    start = marks[MARK_START]
    pushed = marks[MARK_PUSHED]
    urgent = marks[MARK_URGENT]
    taken = 0
    while held:
        run = pushed
        if run == 0:
            run = urgent
        if run == 0:
            run = held - held % SEGMENT
        if run == 0:
            break
        if run > RING_SIZE - start:
            run = RING_SIZE - start
        # PSH only on the last pushed byte: not on an earlier one, and not on an unpushed one.
        taken = int(write(handle, memory, start, run, 0 if run == pushed else 1))
        if taken > 0:
            held -= taken
            # An empty ring starts at index 0 again: the next block is contiguous and aligned.
            start = start + taken & RING_SIZE - 1 if held else 0
            pushed = pushed - taken if pushed > taken else 0
            urgent = urgent - taken if urgent > taken else 0
        if taken < run:
            break
    marks[MARK_COUNT] = held
    marks[MARK_START] = start
    marks[MARK_PUSHED] = pushed
    marks[MARK_URGENT] = urgent
    return taken


@micropython.viper
def settle(rows: ptr32, marks: ptr32, its_record, facts: int):
    """Update the bit maps and the hot path's words of one slot, after it has changed.

    `facts`: see FACT_STATE and the constants after it. This runs at nearly every event and command
    that does more than transfer bytes, so it is one fast function instead of ten small ones.
    """
    record = ptr8(its_record)
    number = facts & 7
    rows[ROW_FACTS + number] = facts
    state = facts >> FACT_STATE & 7
    bit = 1 << number
    others = ALL_SLOTS ^ bit
    is_state = 1 << state
    record[0] = state
    rows[ROW_OCCUPIED] = rows[ROW_OCCUPIED] & others | (0 if state == _FREE else bit)
    rows[ROW_OVER] = rows[ROW_OVER] & others | (bit if state == _CLOSE_READY else 0)
    rows[ROW_CONNECTED] = rows[ROW_CONNECTED] & others | (bit if state == _CONNECTED else 0)
    rows[ROW_CLOSED] = rows[ROW_CLOSED] & others | (bit if _SEEN_AS_CLOSED & is_state else 0)
    count = marks[MARK_COUNT]
    if count > marks[MARK_URGENT]:
        if not rows[ROW_TIMED] & bit:  # these are the first unpushed bytes
            due = rows[ROW_NOW] + FLUSH_MS & _MASK
            marks[MARK_FLUSH_AT] = due
            if rows[ROW_TIMED] == 0 or (due - rows[ROW_SOONEST] & _MASK) >= _HALF:
                rows[ROW_SOONEST] = due
            rows[ROW_TIMED] = rows[ROW_TIMED] | bit
    elif _WITH_DEADLINE & is_state:
        rows[ROW_TIMED] = rows[ROW_TIMED] | bit
    else:
        rows[ROW_TIMED] = rows[ROW_TIMED] & others
    handle = rows[ROW_HANDLE + number]
    may = 0
    space = 0
    if handle and state == _CONNECTED and not facts & FACT_ENDING:
        may = MAY_READ
    if handle and (state == _CONNECTED or state == _OTHER_END_CLOSED) and not facts & FACT_BROKEN:
        may |= MAY_GATHER if count else MAY_GATHER | MAY_WRITE
        space = RING_SIZE - count
        if space > _MAX_DATA:
            space = _MAX_DATA
    rows[ROW_SPACE + number] = space
    record[14] = space
    record[15] = space >> 8
    if facts & FACT_FOREIGN:
        may |= MAY_LOOK
    elif handle:
        wanted = _ALWAYS
        # Unpushed bytes wait for a full segment or for FLUSH_MS, not for room.
        if marks[MARK_URGENT] or count >= SEGMENT or state == _CLOSE_PENDING:
            wanted = _ALWAYS | _ROOM
        rows[ROW_INTEREST + (handle & _INDEX_MASK)] = wanted
    rows[ROW_MAY + number] = may


@micropython.viper
def soonest(its_loop, slots_rows, now: int, ms: int):
    """Set LOOP_DUE: the first of the slots' deadlines, LOOP_FAR, and `ms` from now (-1: without
    that)."""
    loop = ptr32(its_loop)
    rows = ptr32(slots_rows)
    least = loop[LOOP_FAR] - now & _MASK
    if least >= _HALF:
        least = 0
    if ms >= 0 and ms < least:
        least = ms
    if rows[ROW_TIMED]:
        due = rows[ROW_SOONEST] - now & _MASK
        if due >= _HALF:
            least = 0
        elif due < least:
            least = due
    loop[LOOP_DUE] = now + least & _MASK


@micropython.viper
def copy(into: ptr32, data: ptr32, at: int, n: int):
    """Copy n bytes from data[at & 0xFFFF:] to into[at >> 16:], by words if both are aligned.

    `at` has two offsets, as a viper function takes at most four arguments. The loop moves the
    pointers and uses constant indexes, as these are part of the load and store instructions, and
    viper keeps the first two arguments in registers. No bounds are checked.
    """
    i = at >> 16
    j = at & 0xFFFF
    target = ptr8(into)
    source = ptr8(data)
    last = i + n
    if (i | j) & 3 == 0:
        into = ptr32(uint(ptr32(into)) + i)
        data = ptr32(uint(ptr32(data)) + j)
        while n >= 64:
            into[0] = data[0]
            into[1] = data[1]
            into[2] = data[2]
            into[3] = data[3]
            into[4] = data[4]
            into[5] = data[5]
            into[6] = data[6]
            into[7] = data[7]
            into[8] = data[8]
            into[9] = data[9]
            into[10] = data[10]
            into[11] = data[11]
            into[12] = data[12]
            into[13] = data[13]
            into[14] = data[14]
            into[15] = data[15]
            into = ptr32(uint(into) + 64)
            data = ptr32(uint(data) + 64)
            n -= 64
        while n >= 4:
            into[0] = data[0]
            into = ptr32(uint(into) + 4)
            data = ptr32(uint(data) + 4)
            n -= 4
        j += last - n - i
        i = last - n
    while i < last:
        target[i] = source[j]
        i += 1
        j += 1


@micropython.viper
def forget(marks):
    """Empty a ring: clear its marks."""
    words = ptr32(marks)
    i = 0
    while i < MARK_WORDS:
        words[i] = 0
        i += 1
