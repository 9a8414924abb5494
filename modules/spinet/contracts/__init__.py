"""What the parts ask of a board, its radio, its announcer and its link driver."""
