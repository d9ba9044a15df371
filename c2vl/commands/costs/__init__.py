"""The estimates of `c2vl plan`: calls, bytes and hours, measured on a few real samples."""
