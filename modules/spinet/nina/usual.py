"""The usual commands of NINA's protocol, from the end of one transfer to the next that is armed.

While bytes move, a driver sends little else than these: status (20), a socket's state (2F), bytes
available (2B), reads (45, 78), writes (44, 77, 2A), and MicroPython's poll and ACCEPTCONN (7C, 7E).
serve() serves them for connections that are in order, and for servers without a client to accept.
fastpath.turn() calls it. It leaves all else to SelectedTarget, and no other code serves its cases.

`words` is what it shares with Numbers, Exchange and Bsd; service thread only:

    PLACES      where the command's parameters are: see frames.parse()
    HANDLES     of each number: the handle of its last connection
    TOKENS      of each number: the token of that slot
    KINDS       of each number: what it stands for
"""

import micropython
from micropython import const

from spinet.nina.frames import data, parse, value

PLACES = const(0)  # + i: the offset of a parameter, and from bit 16 on its length
HANDLES = const(10)  # + number
TOKENS = const(20)  # + number
KINDS = const(30)  # + number
STATUS = const(40)  # the answer of 20; Exchange.refresh() writes it
ERRNO = const(41)  # of the last of the commands 70 to 7F
COUNTED = const(42)  # number of commands, modulo 2**30
ASKED = const(43)  # the slot of a write that failed
LEVEL = const(44)  # of GPIO0; UNKNOWN before it was driven
NUMBERED = const(45)  # bit map of the slots that have a number, at the last show_input()
STALLED = const(46)  # token + 1 of the slot whose peer took nothing in the whole time of a 44
UNREAD = const(47)  # 1: there is a byte of a datagram to read, see datagrams.py
WORDS = const(48)

UNKNOWN = const(2)

# Places of fastpath's kit that have another use with Duet's links
KIT_WORDS = const(18)  # the words above
KIT_GPIO0 = const(24)  # gpio0() of the target

_GET_STATUS = const(0x20)
_DATA_SENT = const(0x2A)
_AVAILABLE = const(0x2B)
_STATE = const(0x2F)
_SEND_DATA = const(0x44)
_GET_DATA = const(0x45)
_SEND = const(0x77)
_RECEIVE = const(0x78)
_POLL = const(0x7C)
_GET_OPTION = const(0x7E)
_FIRST_OF_BSD = const(0x70)

_ESTABLISHED = const(4)  # the answer of 2F
_READ = const(1)  # those of 7C
_WRITE = const(2)
_PIECE = const(64)  # what CircuitPython cuts its writes into; a last, shorter piece follows
_EAGAIN = const(11)

# As numbers.py and frames.py have them
_COUNT = const(10)
_NONE = const(255)
_SERVER = const(3)
_START = const(0xE0)
_REPLY = const(0x80)
_END = const(0xEE)
_DATA_AT = const(5)
_MOST_DATA = const(4076)

# As fastpath.py has them
_ROW_HANDLE = const(0)
_ROW_MAY = const(8)
_ROW_OWED = const(16)
_ROW_WRITING = const(24)
_ROW_CONNECTED = const(25)
_ROW_CLOSED = const(26)
_ROW_TIMED = const(29)
_ROW_SOONEST = const(30)
_ROW_OCCUPIED = const(128)
_ROW_FACTS = const(130)
_ROW_SPACE = const(138)
_ALL_SLOTS = const(0xFF)
_MAY_READ = const(1)
_MAY_WRITE = const(2)
_MAY_GATHER = const(4)
_MAY_LOOK = const(8)
_SIGNAL_PHASE = const(2)
_PHASE_HEADER = const(0)
_PHASE_ANSWER = const(1)
_LOOP_DUE = const(1)
_LOOP_TAKEN = const(5)
_TAKEN_ZERO = const(32)
_WHY_TIDY = const(1)
_WHY_BROKEN = const(5)
_WHY_PORT = const(7)
_KIT_ROWS = const(4)
_KIT_LOOP = const(5)
_KIT_SIGNALS = const(7)
_KIT_TX = const(8)
_KIT_RX = const(9)
_KIT_RECORDS = const(10)
_KIT_READABLE = const(11)
_KIT_READ = const(12)
_KIT_RECVED = const(13)
_KIT_WRITE = const(14)
_KIT_MARKS = const(19)
_KIT_MEMORY = const(20)
_KIT_ARM = const(22)
_KIT_STORE = const(25)
_KIT_DRAIN = const(26)
_KIT_SETTLE = const(27)
_STORE_PUSH = const(2)
_STORE_OFFSET = const(4)
_STORE_COUNT = const(16)
_WOULDBLOCK = const(-7)
_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)


@micropython.viper
def serve(kit, n: int, news: int) -> int:
    """Serve the transfer of n bytes that has ended (-1: none has), and arm the next.

    `news`: something happened to connections. Returns 0, or what Python has to do, as turn() does.
    """
    if n < 0:
        show_input(kit)
        return 0
    signals = ptr32(kit[_KIT_SIGNALS])
    its_words = kit[KIT_WORDS]
    words = ptr32(its_words)
    tx = kit[_KIT_TX]
    rx = kit[_KIT_RX]
    came = ptr8(rx)
    first = came[0] if n else 0
    phase = signals[_SIGNAL_PHASE]
    length = 0  # of the reply; 0: the next transfer is for a command
    why = 0
    if phase == _PHASE_ANSWER:
        if first == _START:
            return _WHY_PORT  # a command that waits for its answer, or one in the reply's place
        phase = _PHASE_HEADER
    elif first != 0 and first != 0xFF:  # these two are a read where there is no reply
        count = int(parse(rx, n, its_words))
        command = came[1]
        if count < 0 or (count == 0 and command != _GET_STATUS):
            return _WHY_PORT
        rows = ptr32(kit[_KIT_ROWS])
        sent = ptr32(tx)
        where = words[PLACES]
        number = _NONE
        if count == 0:
            where = 0
        elif where >> 16 == 1:
            number = came[where & 0xFFFF]
        else:
            number = int(value(rx, where, 0))
        amount = 0
        if count > 1:
            where = words[PLACES + 1]
            if where >> 16 == 2:
                amount = came[where & 0xFFFF] | came[(where & 0xFFFF) + 1] << 8
            else:
                amount = int(value(rx, where, 0))
        # A handle that is still its slot's is the one that the number was given.
        handle = 0
        slot = 0
        may = 0
        if number < 0 or number >= _COUNT:
            number = _NONE
        else:
            slot = words[TOKENS + number] & 7
            handle = words[HANDLES + number]
            may = rows[_ROW_MAY + slot]
            if rows[_ROW_HANDLE + slot] != handle or not rows[_ROW_CONNECTED] >> slot & 1:
                handle = 0
        answer = 0
        size = 1  # of the answer; 0: it is data of the length `amount`
        errno = 0
        if command == _GET_STATUS:
            answer = words[STATUS]
        elif command == _DATA_SENT:
            answer = 1  # 44 has waited
        elif handle == 0:
            if command != _AVAILABLE or number == _NONE or words[KINDS + number] != _SERVER:
                return _WHY_PORT
            if news:
                show_input(kit)
                news = 0
            closed = rows[_ROW_CLOSED]
            if (rows[_ROW_CONNECTED] | closed) & ~words[NUMBERED]:
                return _WHY_PORT  # there may be one to accept, or one that is gone already
            if closed and rows[_ROW_OCCUPIED] == _ALL_SLOTS:
                return _WHY_PORT  # a connection that is over holds the last slot
            if count > 1 and amount == 0 and words[LEVEL]:
                return _WHY_PORT  # one of its clients may have unread bytes
            answer = _NONE
            size = 2
        elif command == _STATE:
            answer = _ESTABLISHED
        elif command == _AVAILABLE:
            readable = kit[_KIT_READABLE]
            answer = int(readable[slot](handle))
            if answer > 0xFFFF:
                answer = 0xFFFF
            size = 2
        elif command == _POLL:
            readable = kit[_KIT_READABLE]
            if int(readable[slot](handle)):
                answer = _READ
            if rows[_ROW_SPACE + slot]:
                answer |= _WRITE
        elif command == _GET_OPTION:
            size = 4  # it is no listener
        elif command == _GET_DATA or command == _RECEIVE:
            if count < 2 or not may & _MAY_READ:
                return _WHY_PORT
            if amount < 0 or amount > _MOST_DATA:
                amount = _MOST_DATA
            read = kit[_KIT_READ]
            amount = int(read[slot](handle, tx, _DATA_AT, amount))
            if amount > 0:
                recved = kit[_KIT_RECVED]
                recved[slot](handle, amount)
                news = 1
            elif amount < 0 and amount != _WOULDBLOCK:
                return _WHY_PORT
            else:
                amount = 0
                errno = _EAGAIN
            size = 0
        elif command == _SEND_DATA or command == _SEND:
            if count < 2 or not may & _MAY_GATHER:
                return _WHY_PORT
            amount = where >> 16
            if amount > rows[_ROW_SPACE + slot]:
                if command == _SEND_DATA or rows[_ROW_SPACE + slot] == 0:
                    return _WHY_PORT
                amount = rows[_ROW_SPACE + slot]
            if amount:
                words[STALLED] = 0
            rows[_ROW_OWED + slot] = rows[_ROW_OWED + slot] + amount
            rows[_ROW_WRITING] = rows[_ROW_WRITING] | 1 << slot
            where &= 0xFFFF
            # CircuitPython's pieces gather until the last one.
            push = _STORE_PUSH if command == _SEND or amount != _PIECE else 0
            write = kit[_KIT_WRITE]
            write = write[slot]
            taken = 0
            if may & _MAY_WRITE and push and amount:
                taken = int(write(handle, rx, where, amount, 0))
            if taken < amount or not may & _MAY_WRITE:
                why = int(gather(kit, slot, taken, push | where << _STORE_OFFSET | amount << 16))
            answer = amount
            size = 2
            if command == _SEND:
                answer = amount >> 8 | (amount & 0xFF) << 8
        else:
            return _WHY_PORT
        if command >= _FIRST_OF_BSD:
            words[ERRNO] = errno
        words[COUNTED] = words[COUNTED] + 1 & _MASK
        if may & _MAY_LOOK and why == 0:
            why = _WHY_TIDY
        if size:
            sent[0] = _START | (command | _REPLY) << 8 | 1 << 16 | size << 24
            sent[1] = answer | _END << 8 * size if size < 4 else answer
            sent[2] = _END
            length = 8 if size < 4 else 12
        else:
            length = int(data(tx, command, amount))
        phase = _PHASE_ANSWER
    if news:
        show_input(kit)
    signals[_SIGNAL_PHASE] = phase
    kit[_KIT_ARM](tx, rx, length)
    return why


@micropython.viper
def gather(kit, slot: int, taken: int, where: int) -> int:
    """Put into the slot's ring what the stack has not taken of a write, and send what may leave.

    `where`: as store() has it, for the whole write; `taken`: what the stack has taken of it, or its
    error. Returns 0, or WHY_BROKEN.
    """
    rows = kit[_KIT_ROWS]
    marks = kit[_KIT_MARKS]
    marks = marks[slot]
    memory = kit[_KIT_MEMORY]
    memory = memory[slot]
    error = 0
    if taken < 0:
        error = taken
        taken = 0
    where += (taken << _STORE_OFFSET) - (taken << _STORE_COUNT)
    if int(kit[_KIT_STORE](marks, memory, kit[_KIT_RX], where)) and error == 0:
        write = kit[_KIT_WRITE]
        words = ptr32(rows)
        error = int(kit[_KIT_DRAIN](marks, memory, write[slot], words[_ROW_HANDLE + slot]))
    words = ptr32(rows)
    records = kit[_KIT_RECORDS]
    kit[_KIT_SETTLE](rows, marks, records[slot], words[_ROW_FACTS + slot])
    loop = ptr32(kit[_KIT_LOOP])
    if error < 0 and error != _WOULDBLOCK:
        loop[_LOOP_TAKEN] = error + _TAKEN_ZERO
        asked = ptr32(kit[KIT_WORDS])
        asked[ASKED] = slot
        return _WHY_BROKEN
    if words[_ROW_TIMED] and (words[_ROW_SOONEST] - loop[_LOOP_DUE] & _MASK) >= _HALF:
        loop[_LOOP_DUE] = words[_ROW_SOONEST]
    return 0


@micropython.viper
def show_input(kit):
    """Drive GPIO0: high while a socket has something to read, or a client is to accept."""
    words = ptr32(kit[KIT_WORDS])
    rows = ptr32(kit[_KIT_ROWS])
    numbered = 0
    slot = 0
    number = 0
    while number < _COUNT:
        handle = words[HANDLES + number]
        if handle:
            slot = words[TOKENS + number] & 7
            if rows[_ROW_HANDLE + slot] == handle:
                numbered |= 1 << slot
        number += 1
    words[NUMBERED] = numbered
    left = rows[_ROW_CONNECTED]
    level = 1 if left & ~numbered or words[UNREAD] else 0
    readable = kit[_KIT_READABLE]
    slot = 0
    while left and level == 0:
        if left & 1 and int(readable[slot](rows[_ROW_HANDLE + slot])):
            level = 1
        left >>= 1
        slot += 1
    if words[LEVEL] != level:
        words[LEVEL] = level
        kit[KIT_GPIO0](level)
