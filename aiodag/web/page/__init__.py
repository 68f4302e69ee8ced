"""What people see of the server: one file for each kind of page."""
