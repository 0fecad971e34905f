"""Turns text, tables and signatures into PDF, HTML and CSV. Pure: no models, no settings, no network."""
