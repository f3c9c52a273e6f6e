"""Scorers, one a file: each learns from labelled queries how much a query wants the cloud."""
