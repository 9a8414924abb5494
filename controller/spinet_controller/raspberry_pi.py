"""The bus of a Raspberry Pi, or of another Linux board: its SPI over spidev, its pins over gpiod.

Both come with the extra `pi` of this package, and are imported when a bus is opened.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, Any

from spinet_controller.errors import BusError
from spinet_controller.extras import extra
from spinet_controller.spi_bus import Pin
from spinet_controller.spidev_bus import SpidevBus

if TYPE_CHECKING:
    import gpiod

SPIDEV = "/dev/spidev0.0"
GPIO_CHIP = "/dev/gpiochip0"

Lines = Mapping[Pin, int | str]

LINES: Lines = {Pin.TRANSFER_READY: 23, Pin.DATA_READY: 24, Pin.CS: 25, Pin.RESET: 22}
"""The GPIO of each pin, as in the wiring document."""

SCK_HZ = 7_000_000
"""What every chip follows, with the pins of the wiring document."""

_SPI_MODE = 1


@asynccontextmanager
async def raspberry_pi_bus(
    spidev: str = SPIDEV,
    *,
    lines: Lines = LINES,
    chip: str = GPIO_CHIP,
    sck_hz: float = SCK_HZ,
    **options: bool,
) -> AsyncIterator[SpidevBus]:
    """Give the opened SpidevBus; `options` are its own.

    `lines` has the GPIO number, or the name that its chip has for it, of each Pin. A user of the
    bus begins with `Module.reset()`: the module's start was not seen. BusError when SPI or GPIO
    cannot be had, ExtraMissing without the extra `pi`.
    """
    with closing(_spi(spidev, sck_hz)) as spi, closing(GpiodPins(lines, chip)) as pins:
        async with SpidevBus(spi, pins, **options) as bus:
            yield bus


def _spi(path: str, sck_hz: float) -> Any:
    """Open a spidev device, without a chip select of its own where its driver can do that.

    Where it cannot, its chip select moves with each transfer, and has to be left unconnected.
    """
    with extra("pi"):
        import spidev
    spi = spidev.SpiDev()
    try:
        spi.open_path(path)
        spi.mode = _SPI_MODE
        spi.bits_per_word = 8
        spi.max_speed_hz = round(sck_hz)
    except OSError as error:
        spi.close()
        raise BusError(f"cannot use {path} for SPI: {error.strerror}") from error
    with suppress(OSError):
        spi.no_cs = True
    return spi


class GpiodPins:
    """The pins of a SpidevBus over gpiod 2; `lines` and `chip` as for `raspberry_pi_bus`."""

    def __init__(self, lines: Lines, chip: str) -> None:
        with extra("pi"):
            import gpiod
            import gpiod.line
        self._line = gpiod.line
        self._rising = gpiod.EdgeEvent.Type.RISING_EDGE
        self._lines = lines
        config: dict[Any, gpiod.LineSettings | None] = {
            lines[pin]: settings for pin, settings in self._settings().items()
        }
        if len(config) < len(lines):
            raise BusError(f"two pins on one line: {', '.join(map(str, lines.values()))}")
        try:
            self._request = gpiod.request_lines(chip, config, consumer="spinet-controller")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BusError(f"cannot use the GPIO of {chip}: {reason}") from error

    def _settings(self) -> dict[Pin, "gpiod.LineSettings"]:
        """Give the LineSettings of each pin, as they are at rest.

        DATA_READY starts the module's boot loader when it is low at a reset, and a Raspberry Pi
        pulls most of its inputs down. RESET is the module's EN, which its own button pulls low
        as well: nothing may drive it high.
        """
        import gpiod

        line = self._line
        output = {"direction": line.Direction.OUTPUT}
        high = {**output, "output_value": line.Value.ACTIVE}
        settings = {
            Pin.TRANSFER_READY: output,
            Pin.DATA_READY: {
                "direction": line.Direction.INPUT,
                "edge_detection": line.Edge.BOTH,
                "bias": line.Bias.PULL_UP,
            },
            Pin.CS: high,
            Pin.RESET: {**high, "drive": line.Drive.OPEN_DRAIN, "bias": line.Bias.PULL_UP},
        }
        return {pin: gpiod.LineSettings(**those) for pin, those in settings.items()}

    def close(self) -> None:
        """Let go of the lines."""
        self._request.release()

    def drive(self, pin: Pin, level: int) -> None:
        """See SpidevBus."""
        value = self._line.Value.ACTIVE if level else self._line.Value.INACTIVE
        self._request.set_value(self._lines[pin], value)

    def data_ready(self) -> bool:
        """See SpidevBus."""
        return self._request.get_value(self._lines[Pin.DATA_READY]) is self._line.Value.ACTIVE

    def fileno(self) -> int:
        """See SpidevBus."""
        return self._request.fd

    def edges(self) -> list[bool]:
        """See SpidevBus; the read alone would wait for an edge."""
        if not self._request.wait_edge_events(0):
            return []
        return [event.event_type is self._rising for event in self._request.read_edge_events()]
