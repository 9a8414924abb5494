// A chip at a serial port, as far as its boot loader in ROM and esptool's stub in RAM are asked by a
// page with Web Serial. `serialChip(name)` gives the port; what became of it is in `port.chip`. What a
// real one refuses is refused here: a command before a reset into download mode, a wrong checksum or
// order, data for flash that was not erased, an entry point that was not loaded.

const CHIPS = {
    "ESP32": { magic: 0x00f01d83, spi: 0x3ff42000, usr2: 0x24, w0: 0x80 },
    "ESP32-C3": { magic: 0x6921506f, spi: 0x60002000, usr2: 0x20, w0: 0x58 },
};
const MAGIC_REGISTER = 0x40001000;
const FLASH_ID = 0x1640ef;  // 4 MiB
const FLASH_SIZE = 4 << 20;
const SECTOR = 4096;
const CHECKSUM = 0xef;
const REFUSED = 0x05, BAD_CHECKSUM = 0x07;

class SerialChip {
    constructor(name) {
        Object.assign(this, CHIPS[name]);
        this.flash = new Uint8Array(FLASH_SIZE).fill(0xa5);  // of an earlier program
        this.runs = "program";
        this.signals = { dataTerminalReady: false, requestToSend: false };
        this.problems = [];
        this.reset();
    }

    reset() {
        this.stub = false;
        this.registers = new Map([[MAGIC_REGISTER, this.magic]]);
        this.loaded = [];  // [first, end] in RAM
        this.loading = this.writing = null;
    }

    // RTS holds the chip in reset; DTR, when it leaves, holds the boot pin.
    set(signals) {
        const before = this.signals.requestToSend;
        Object.assign(this.signals, signals);
        if (this.signals.requestToSend) {
            this.runs = "nothing";
            this.reset();
        } else if (before) {
            this.runs = this.signals.dataTerminalReady ? "loader" : "program";
        }
    }

    // One packet without its SLIP; answers go through send(value, bytes).
    async take(packet, answer) {
        if (this.runs !== "loader" || packet.length < 8 || packet[0] !== 0) return;
        const view = new DataView(packet.buffer, packet.byteOffset);
        const data = packet.subarray(8);
        if (view.getUint16(2, true) !== data.length) return;
        const words = Array.from({ length: data.length >> 2 }, (_, i) => view.getUint32(8 + 4 * i, true));
        const command = packet[1];
        const work = this.commands()[command];
        let result = work ? work(words, data, view.getUint32(4, true)) : REFUSED;
        if (command === 0x08) {  // the answer comes eight times; the ROM's value is not 0
            for (let i = 0; i < 8; i++) answer(command, this.stub ? 0 : 0x20120707, this.status(0));
            return;
        }
        if (result instanceof Promise) result = await result;
        const [value, failure] = typeof result === "number" ? [0, result] : result;
        if (failure) this.problems.push(`command ${command.toString(16)}: ${failure}`);
        answer(command, value, this.status(failure));
        if (command === 0x06 && !failure) this.stub = true, answer(null);
    }

    status(failure) {
        return [failure ? 1 : 0, failure, ...(this.stub ? [] : [0, 0])];
    }

    commands() {
        return {
            0x05: words => this.begin(words),
            0x06: words => this.start(words),
            0x07: (words, data, sum) => this.load(words, data, sum),
            0x08: () => 0,
            0x09: words => this.write(words),
            0x0a: ([address]) => [this.registers.get(address) ?? 0, 0],
            ...(this.stub && {
                0x10: words => this.erase(words),
                0x11: (words, data, sum) => this.compressed(words, data, sum),
                0x12: () => this.finish(),
            }),
        };
    }

    begin([size, blocks, block, first]) {
        if (size > blocks * block) return REFUSED;
        this.loading = { first, size, next: 0, got: 0 };
        return 0;
    }

    load(words, data, sum) {
        const into = this.loading;
        const failure = this.block(into, words, data, sum);
        if (failure) return failure;
        if (into.got === into.size) this.loaded.push([into.first, into.first + into.size]);
        return 0;
    }

    start([stays, entry]) {
        return stays || !this.loaded.some(([first, end]) => first <= entry && entry < end) ? REFUSED : 0;
    }

    block(into, [length, number], data, sum) {
        const bytes = data.subarray(16);
        if (!into || length !== bytes.length || number !== into.next) return REFUSED;
        if (bytes.reduce((state, byte) => state ^ byte, CHECKSUM) !== sum) return BAD_CHECKSUM;
        into.next += 1;
        into.got += length;
        return 0;
    }

    write([address, value, mask]) {
        const old = this.registers.get(address) ?? 0;
        this.registers.set(address, ((old & ~mask) | (value & mask)) >>> 0);
        if (address === this.spi) {  // a command to the flash chip, which is done at once
            const asked = (this.registers.get(this.spi + this.usr2) ?? 0) & 0xff;
            this.registers.set(this.spi + this.w0, asked === 0x9f ? FLASH_ID : 0);
            this.registers.set(this.spi, 0);
        }
        return 0;
    }

    erase([size, blocks, block, first]) {
        if (first % SECTOR || first + size > FLASH_SIZE) return REFUSED;
        this.flash.fill(0xff, first, first + Math.ceil(size / SECTOR) * SECTOR);
        this.writing = { first, size, most: blocks * block, next: 0, got: 0, parts: [] };
        return 0;
    }

    compressed(words, data, sum) {
        const failure = this.block(this.writing, words, data, sum);
        if (failure || this.writing.got > this.writing.most) return failure || REFUSED;
        this.writing.parts.push(data.slice(16));
        return 0;
    }

    async finish() {
        if (!this.writing) return REFUSED;
        const { first, size, parts } = this.writing;
        const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
        const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
        this.writing = null;
        if (bytes.length !== size) return REFUSED;
        this.flash.set(bytes, first);
        return 0;
    }
}

// The port of Web Serial. Frames are SLIP's: 0xC0 around, 0xDB 0xDC for 0xC0, 0xDB 0xDD for 0xDB.
class ChipPort extends EventTarget {
    constructor(name) {
        super();
        this.chip = new SerialChip(name);
        this.readable = this.writable = null;
    }

    getInfo() {
        return {};
    }

    async open({ baudRate }) {
        if (this.readable) throw new DOMException("The port is already open.", "InvalidStateError");
        if (baudRate !== 115200) throw new TypeError("no baud rate of the loader");
        let frame = null;
        this.readable = new ReadableStream({ start: sink => { this.sink = sink; } });
        this.writable = new WritableStream({
            write: async bytes => {
                for (const byte of bytes) {
                    if (byte !== 0xc0) frame?.push(byte);
                    else if (frame?.length) [, frame] = [await this.packet(frame), null];
                    else frame = [];
                }
            },
        });
    }

    async close() {
        if (this.readable?.locked || this.writable?.locked) throw new TypeError("a stream is locked");
        this.readable = this.writable = null;
    }

    async setSignals(signals) {
        if (!this.readable) throw new DOMException("The port is closed.", "InvalidStateError");
        this.chip.set(signals);
    }

    packet(frame) {
        const bytes = [];
        for (let i = 0; i < frame.length; i++) {
            bytes.push(frame[i] !== 0xdb ? frame[i] : frame[++i] === 0xdc ? 0xc0 : 0xdb);
        }
        return this.chip.take(Uint8Array.from(bytes), (command, value, data) => {
            const length = data?.length;
            const answer = command === null ? [..."OHAI"].map(letter => letter.charCodeAt()) : [
                1, command, length, 0, ...[0, 8, 16, 24].map(bits => value >>> bits & 0xff), ...data,
            ];
            const slip = answer.flatMap(b => b === 0xc0 ? [0xdb, 0xdc] : b === 0xdb ? [0xdb, 0xdd] : [b]);
            this.sink.enqueue(Uint8Array.of(0xc0, ...slip, 0xc0));
        });
    }
}

window.serialChip = name => new ChipPort(name);
