"""The parts of the reports, and the trace as text."""
