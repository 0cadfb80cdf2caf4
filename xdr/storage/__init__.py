"""What was made, from what, and is it whole."""
