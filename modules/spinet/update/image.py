"""The head of an image: ESP-IDF's header, the first segment's header, the application's descriptor.

An image ends with the SHA-256 of all before it.
"""

from micropython import const

from spinet.fields import get_text, get_u16, get_u32

HEAD = const(288)  # bytes
DIGEST = const(32)

_MAGIC = const(0xE9)  # @0
_CHIP = const(12)  # u16
_HAS_DIGEST = const(23)  # u8
_DESCRIPTOR = const(32)  # u32
_DESCRIPTOR_MAGIC = const(0xABCD5432)
_VERSION = const(48)
_VERSION_LENGTH = const(32)
_OURS = "-spinet"  # in each version of this firmware


def version(head):
    """The text of its version."""
    try:
        return get_text(head, _VERSION, _VERSION_LENGTH).decode()
    except UnicodeError:
        return "?"


def problem(head, chip):
    """Why a module with this chip cannot take the image that begins so, or None.

    An image of another firmware would not go back by itself when it does not work.
    """
    if len(head) < HEAD or head[0] != _MAGIC:
        return "this is no image"
    if get_u32(head, _DESCRIPTOR) != _DESCRIPTOR_MAGIC:
        return "this is no application"
    if get_u16(head, _CHIP) != chip:
        return "the image is for another chip"
    if _OURS not in version(head):
        return "the image is of another firmware"
    if head[_HAS_DIGEST] != 1:
        return "the image has no hash"
    return None
