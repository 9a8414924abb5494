"""Update: a new image comes into the slot that does not run, is on trial, is kept or taken back.

docs/design.md, Update, says which file does what.
"""
