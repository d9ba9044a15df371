"""What a run will cost on this machine: samples, calls, bytes and hours, measured on a few real samples."""
