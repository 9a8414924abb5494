"""The command line: `spinet-controller`."""
