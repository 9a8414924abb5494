"""What the reports are made of: words for numbers, and lines of the trace."""
