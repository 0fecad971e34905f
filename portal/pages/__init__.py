"""Pages that show several floors at once."""
