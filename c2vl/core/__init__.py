"""What every room uses: errors, files, parameters, this machine, tables, progress, locks."""
