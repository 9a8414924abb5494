"""The contract of partitions: two slots for images, of which one runs.

Made by the board's partitions(), when an update begins or an image is on trial. An offset is one in
the other slot. Everything is called in the service thread, and raises OSError when flash fails.

    chip                the chip id in the header of its images
    version             the text of the version that runs
    slot                the number of the slot that runs, 0 or 1
    size                bytes that the other slot holds, whole sectors
    erase(at)           erase the sector of 4096 bytes at this offset
    write(at, data)     write bytes to where the flash was erased; up to 2048, in one sector
    read(at, into)      fill `into`
    choose()            start the other slot at the next restart, and this one again at the one
                        after that, unless the image calls keep(). OSError: it is no image
    keep()              start the slot that runs from now on
    restart()           restart the module; does not return
"""
