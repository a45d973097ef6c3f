"""Read, clean and write tables of any size."""
