"""What each kind of stage does: one file for each kind, and `leaves` joins them."""
