"""The version of firmware, controller package and documents, which are released together.

The controller package has this file by a link. In what is frozen, texts replace these names.
"""

VERSION = "2.3.0"
VERSION_TEXT = VERSION + "-spinet"  # networkGetStatus's; Duet's boards want a digit from 2 on first
