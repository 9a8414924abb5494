"""The hot path: what nearly every pass of the loop does, in one viper function.

A controller sends a connGetStatus for each connRead and asks for little else while bytes move. A
call of a Python method costs as much as all the machine code below needs for such a transaction,
so here one long function is what many small ones are elsewhere. It waits, takes the stack's
events, and serves null, connGetStatus, connRead and connWrite as long as they go the usual way.
Whatever is out of the ordinary it leaves undone and hands to Service.run(), which goes the plain
way: Link, Commands and Connection do the same for every request, and the tests compare the two.

What both ways share are arrays of words, none of them negative: `rows` of the ConnectionManager,
`marks` of each slot's ring, `signals` of a SpiMaster or a SpiSlave, `loop` of the Service, `count`
of the Link. All in the service thread but EDGE, RELEASED, UNDER_WAY, STOP and STALE. Offsets of the
records are repeated from duet/wire.py, and a test compares them.
"""

import micropython
from micropython import const

# Words of `rows`. Of slot i:
_HANDLE = const(0)  # + i: the stack's handle, 0 when it has none
_MAY = const(8)  # + i: MAY_READ, MAY_WRITE, MAY_GATHER
_OWED = const(16)  # + i: accepted and, when last asked, not acknowledged
# of all slots, as bit maps or bytes:
_WRITING = const(24)  # slots that were written to since their acknowledgements were last looked at
_CONNECTED_SLOTS = const(25)
_CLOSED_SLOTS = const(26)
_RSSI = const(27)  # as a byte; set by the service
_DELIVER = const(28)  # stack indexes whose SEEN events nobody has been told of
_TIMED_SLOTS = const(29)  # slots that have a deadline; kept by Connection._publish, and here
_SOONEST = const(30)  # of their deadlines, or earlier; meaningful while there are any
# of each index of the stack:
_OWNED = const(32)  # + index: the handle as it was attached, 0 when nobody cares
_INTEREST = const(64)  # + index: events that its owner wants to hear of
_SEEN = const(96)  # + index: events taken from the stack and not yet delivered
_ROWS = const(128)

_MAY_READ = const(1)  # connected, and the peer has not ended it
_MAY_WRITE = const(2)  # the peer listens, and nothing waits in the ring
_MAY_GATHER = const(4)  # the peer listens

# Words of `marks`, of each slot: its ring, what was accepted and not yet taken by the stack
_COUNT = const(0)  # bytes held
_START = const(1)  # where the oldest is
_PUSHED = const(2)  # of these bytes: up to here with PSH, the controller asked for it
_URGENT = const(3)  # up to here at once, full segments or not
_FLUSH_AT = const(4)  # when the others become urgent; meaningful while there are others
_MARKS = const(5)

# Words of `signals`, of a SpiMaster
_EDGE = const(0)  # TRANSFER_READY rose; set by the pin interrupt, cleared as a transaction starts
_LOOKED = const(1)  # when the last transaction ended or the level was last looked at
SIGNALS = const(2)

# and of a SpiSlave, whose EDGE is one in mid-transaction
_PHASE = const(1)  # HEADER and those that follow it
_ARMED = const(2)  # bytes of the phase that is armed; 0: none is
_SINCE = const(3)  # when it was armed, or when the last phase ended
_RELEASED = const(4)  # CS rose within the phase; set by the pin interrupt
_SERVED_HOT = const(5)  # turn() has answered this request, and the Link knows nothing of it
_SIZE = const(6)  # of that: bytes of the data phase
_UNDER_WAY = const(7)  # a further edge of TRANSFER_READY begins anew; set by the pin interrupts
_PHASES = const(8)

_HEADER = const(0)  # armed, waiting for a request
_ANSWER = const(1)
_PAYLOAD = const(2)
_ENDING = const(3)  # all phases have passed, CS is still low

# Words of `loop`
_NOW = const(0)  # ticks at the start of this pass
_DUE = const(1)  # when Python has to look, whatever happens
_STOP = const(2)  # set by service.stop() from any thread: return at the end of this pass
_STALE = const(3)  # Python has to tidy up at the end of this pass: events were delivered, or a
# thread has an answer; set from any thread, cleared before what it stands for is looked at
_PASSES = const(4)  # how many are left
_TAKEN = const(5)  # + TAKEN_ZERO: of a write what the stack took, of a read the error
_LOOP = const(6)

_TAKEN_ZERO = const(32)  # TAKEN of an error is the error plus this

# What turn() leaves to Python
_DONE = const(0)  # the passes are over, or STOP
_TIDY = const(1)  # something is due, or was delivered
_EVENTS = const(2)  # deliver, then go on with this pass
_PLAIN = const(3)  # the header is in rx, CS is low: conclude this transaction the plain way
_SHORT = const(4)  # a connWrite's data went to the stack, which took TAKEN of it
_WITHDRAWN = const(5)  # an edge whose request is gone
_BROKEN = const(6)  # a connWrite was queued; flushing the queue failed with the error TAKEN
_FAILED = const(7)  # a connRead, answered with nothing, found the error that TAKEN has
_PORT = const(8)  # the SpiSlave has to look

# Places in `kit`, which Service.bind() makes
WAIT = const(0)  # of the stack, as are the next three
TICKS = const(1)
PENDING = const(2)
EVENTS_OF = const(3)
KIT_ROWS = const(4)
KIT_LOOP = const(5)
KIT_COUNT = const(6)
KIT_SIGNALS = const(7)
TX = const(8)
RX = const(9)
RECORDS = const(10)  # of each slot, as are the next four: its stack may be another's
READABLE = const(11)
READ = const(12)
RECVED = const(13)
WRITE = const(14)
FAST = const(15)  # who is served by turn(): MASTER, TARGET; 0: nobody, the port serves all
EXCHANGE = const(16)
CS = const(17)  # a SpiMaster's to drive, a SpiSlave's to look at
REQUESTED = const(18)  # TRANSFER_READY's level
MARKS_OF = const(19)  # of each slot
MEMORY_OF = const(20)  # of each slot: its ring's
COPY = const(21)
EXCHANGE_LAST = const(22)  # as EXCHANGE, and CS may rise at its end, before it is told to
ARM = const(23)
CLOCKED = const(24)
DATA_READY = const(25)
KIT = const(26)

MASTER = const(1)  # the module drives the clock
TARGET = const(2)  # the controller does

_MASK = const(0x3FFFFFFF)  # of ticks and counts
_HALF = const(0x20000000)

# As duet/wire.py and tcp/ have them
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
_SEGMENT = const(1440)
_FLUSH_MS = const(20)
_PHASE_TIMEOUT_MS = const(500)
_RING_SIZE = const(4096)
_ALWAYS = const(50)  # events that are delivered whatever there is to write
_ROOM = const(8)
_WOULDBLOCK = const(-7)


@micropython.viper
def turn(kit, passes: int, resumed: int) -> int:
    """Up to `passes` passes of the loop; returns why it ended, see DONE and what follows it.

    `resumed`: the wait and the events of this pass are done already.
    """
    wait = kit[WAIT]
    ticks = kit[TICKS]
    pending = kit[PENDING]
    events = kit[EVENTS_OF]
    rows = ptr32(kit[KIT_ROWS])
    loop = ptr32(kit[KIT_LOOP])
    count = ptr32(kit[KIT_COUNT])
    signals = ptr32(kit[KIT_SIGNALS])
    tx = kit[TX]
    rx = kit[RX]
    sent = ptr8(tx)
    sent_words = ptr32(tx)
    header = ptr8(rx)
    records = kit[RECORDS]
    readable = kit[READABLE]
    read = kit[READ]
    recved = kit[RECVED]
    write = kit[WRITE]
    fast = int(kit[FAST])
    exchange = kit[EXCHANGE]
    exchange_last = kit[EXCHANGE_LAST]
    cs = kit[CS]
    requested = kit[REQUESTED]
    marks = kit[MARKS_OF]
    memory = kit[MEMORY_OF]
    copy = kit[COPY]
    arm = kit[ARM]
    clocked = kit[CLOCKED]
    data_ready = kit[DATA_READY]
    now = loop[_NOW]
    while True:
        if resumed:
            resumed = 0
        else:
            if passes == 0 or loop[_STOP]:
                return _DONE
            passes -= 1
            loop[_PASSES] = passes
            ms = loop[_DUE] - now & _MASK
            if ms >= _HALF or signals[_EDGE]:
                ms = 0
            elif fast == TARGET and signals[_PHASE] == _ENDING and int(cs()):
                ms = 0  # CS rose within the last wait, and so ends no other
            wait(ms)
            now = int(ticks())
            loop[_NOW] = now
            todo = int(pending())
            if todo:
                index = 0
                found = 0
                while todo:
                    if todo & 1:
                        handle = rows[_OWNED + index]
                        if handle:
                            seen = int(events(handle)) & rows[_INTEREST + index]
                            if seen:
                                rows[_SEEN + index] = rows[_SEEN + index] | seen
                                found |= 1 << index
                        else:
                            found |= 1 << index
                    todo >>= 1
                    index += 1
                if found:
                    rows[_DELIVER] = found
                    return _EVENTS

        # Where is the transaction? `asked`: a header is in rx. `over`: all its bytes have passed.
        # `armed`: so many bytes of the next phase are to be armed, from `offset` on.
        asked = 0
        over = 0
        armed = 0
        offset = 0
        size = 0
        amount = 0
        if fast == MASTER:
            if signals[_EDGE]:
                signals[_EDGE] = 0
                if not int(requested()):
                    return _WITHDRAWN
                cs(0)
                exchange(tx, rx, 0, _FIRST_PHASE)
                if header[0] == _VERSION:
                    signals[_EDGE] = 0  # an edge during the header belongs to this request
                asked = 1
        elif fast == TARGET:
            phase = signals[_PHASE]
            passed = int(clocked())
            if signals[_EDGE] or signals[_ARMED] == 0:
                return _PORT
            if phase == _ENDING:
                if int(cs()):
                    if signals[_SERVED_HOT] == 0:
                        return _PORT
                    signals[_SERVED_HOT] = 0
                    header[0] = _INVALID_VERSION
                    phase = _HEADER
                    armed = _FIRST_PHASE
            elif passed < signals[_ARMED]:
                if passed and signals[_RELEASED]:
                    return _PORT
            elif phase == _HEADER:
                asked = 1
            elif signals[_SERVED_HOT] == 0:
                return _PORT
            else:
                size = signals[_SIZE]
                if phase == _ANSWER and size:
                    phase = _PAYLOAD
                    armed = size + 3 & 0xFFC
                    offset = _DATA
                else:
                    over = 1

        command = header[1]
        socket = header[2]
        flags = header[3]
        may = 0
        if asked:
            length = header[4] | header[5] << 8
            size = -1  # bytes of the data phase; -1: this one goes the plain way
            if header[0] == _VERSION and length <= _MAX_DATA:
                if command == _NULL:
                    size = 0
                elif socket < _SLOTS:
                    if command == _STATUS:
                        # Its Connection keeps the record ready, but for what changes all the time.
                        record = ptr8(records[socket])
                        index = 0
                        while index < 16:
                            sent[_DATA + index] = record[index]
                            index += 1
                        handle = rows[_HANDLE + socket]
                        if handle:
                            amount = int(readable[socket](handle))
                            sent[_DATA + _AMOUNT] = amount
                            sent[_DATA + _AMOUNT + 1] = amount >> 8
                        sent[_DATA + 3] = rows[_RSSI]
                        sent[_DATA + 16] = rows[_CONNECTED_SLOTS]
                        sent[_DATA + 17] = 0
                        sent[_DATA + 18] = rows[_CLOSED_SLOTS]
                        sent[_DATA + 19] = 0
                        size = _STATUS_SIZE
                    elif command == _READ:
                        if rows[_MAY + socket] & _MAY_READ:
                            handle = rows[_HANDLE + socket]
                            amount = header[6] | header[7] << 8
                            if amount > _MAX_DATA:
                                amount = _MAX_DATA
                            amount = int(read[socket](handle, tx, _DATA, amount))
                            if amount > 0:
                                recved[socket](handle, amount)
                                size = amount
                            else:
                                size = 0  # and if it was an error, its Connection shall know
                    elif command == _WRITE and length and not flags & _CLOSE_AFTER_WRITE:
                        may = rows[_MAY + socket]
                        record = ptr8(records[socket])
                        if may & _MAY_GATHER and length <= record[14] | record[15] << 8:
                            size = length
            if size < 0:
                return _PLAIN if fast == MASTER else _PORT
            sent_words[_RESPONSE_WORD] = size
            if fast == MASTER:
                exchange_last(tx, rx, _RESPONSE, 4 + (size + 3 & 0xFFC))
                over = 1
            else:
                signals[_SERVED_HOT] = 1
                signals[_SIZE] = size
                phase = _ANSWER
                armed = 4
                offset = _RESPONSE

        if armed:
            data_ready(0)
            signals[_PHASE] = phase
            signals[_ARMED] = armed
            signals[_SINCE] = now
            signals[_RELEASED] = 0
            if phase == _HEADER:
                signals[_UNDER_WAY] = 0
            arm(tx, rx, offset, armed)
            data_ready(1)
            due = now + _PHASE_TIMEOUT_MS & _MASK
            if phase != _HEADER and (due - loop[_DUE] & _MASK) >= _HALF:
                loop[_DUE] = due

        if over:
            taken = size
            wanted = size
            if command == _WRITE:
                may = rows[_MAY + socket]
                if fast == TARGET and not may & _MAY_GATHER:
                    return _PORT  # it ended while the data was on its way
                handle = rows[_HANDLE + socket]
                rows[_OWED + socket] = rows[_OWED + socket] + size
                rows[_WRITING] = rows[_WRITING] | 1 << socket
                # Straight into the stack: full segments, or what is to be pushed.
                taken = 0
                wanted = 0
                if may & _MAY_WRITE:
                    wanted = size if flags & _PUSH else size - size % _SEGMENT
                    if wanted:
                        more = 0 if flags & _PUSH else 1
                        taken = int(write[socket](handle, rx, _DATA, wanted, more))
            if fast == MASTER:
                cs(1)
                signals[_LOOKED] = int(ticks())  # its end; `now` is when it began
            else:
                data_ready(0)
                signals[_PHASE] = _ENDING
                signals[_SINCE] = now
            count[0] = count[0] + 1 & _MASK
            if taken != wanted:
                loop[_TAKEN] = taken + _TAKEN_ZERO
                return _SHORT
            if taken < size:
                # The rest into the ring, and from there what may leave.
                mark = ptr32(marks[socket])
                held = mark[_COUNT]
                start = mark[_START]
                pushed = mark[_PUSHED]
                urgent = mark[_URGENT]
                if held <= urgent:  # the first of what gathers now
                    due = now + _FLUSH_MS & _MASK
                    mark[_FLUSH_AT] = due
                    if rows[_TIMED_SLOTS] == 0 or (due - rows[_SOONEST] & _MASK) >= _HALF:
                        rows[_SOONEST] = due
                size -= taken
                index = start + held & _RING_SIZE - 1
                run = _RING_SIZE - index
                if run > size:
                    run = size
                copy(memory[socket], rx, index << 16 | _DATA + taken, run)
                if run < size:
                    copy(memory[socket], rx, _DATA + taken + run, size - run)
                held += size
                if flags & _PUSH:
                    pushed = held
                    urgent = held
                taken = 0
                while held:
                    run = pushed
                    if run == 0:
                        run = urgent
                    if run == 0:
                        run = held - held % _SEGMENT
                    if run == 0:
                        break
                    if run > _RING_SIZE - start:
                        run = _RING_SIZE - start
                    # PSH on the last byte that was pushed, and on no other.
                    more = 0 if run == pushed else 1
                    taken = int(write[socket](handle, memory[socket], start, run, more))
                    if taken > 0:
                        held -= taken
                        start = start + taken & _RING_SIZE - 1 if held else 0
                        pushed = pushed - taken if pushed > taken else 0
                        urgent = urgent - taken if urgent > taken else 0
                    if taken < run:
                        break
                mark[_COUNT] = held
                mark[_START] = start
                mark[_PUSHED] = pushed
                mark[_URGENT] = urgent
                if taken < 0 and taken != _WOULDBLOCK:
                    loop[_TAKEN] = taken + _TAKEN_ZERO
                    return _BROKEN
                # As Connection._publish() has it.
                may &= _MAY_READ | _MAY_GATHER
                rows[_MAY + socket] = may if held else may | _MAY_WRITE
                run = _RING_SIZE - held
                if run > _MAX_DATA:
                    run = _MAX_DATA
                record = ptr8(records[socket])
                record[14] = run
                record[15] = run >> 8
                index = 1 << socket
                if held > urgent:
                    rows[_TIMED_SLOTS] = rows[_TIMED_SLOTS] | index
                else:
                    rows[_TIMED_SLOTS] = rows[_TIMED_SLOTS] & (0xFF ^ index)
                index = _INTEREST + (handle & 31)
                rows[index] = _ALWAYS | _ROOM if urgent or held >= _SEGMENT else _ALWAYS
                if rows[_TIMED_SLOTS] and (rows[_SOONEST] - loop[_DUE] & _MASK) >= _HALF:
                    loop[_DUE] = rows[_SOONEST]

        if amount < 0 and amount != _WOULDBLOCK:
            loop[_TAKEN] = amount + _TAKEN_ZERO
            return _FAILED

        if fast == 0 or loop[_STALE] or (now - loop[_DUE] & _MASK) < _HALF:
            return _TIDY
