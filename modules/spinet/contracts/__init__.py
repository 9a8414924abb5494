"""The contracts of a board, its radio, its announcer and its link driver."""
