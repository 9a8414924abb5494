"""A virtual printer: a web site with files, served through the module."""
