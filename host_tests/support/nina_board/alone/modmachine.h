/* In place of a port's own: its pins use nothing of it here. */
