"""Files -> records. One file per benchmark or format."""
