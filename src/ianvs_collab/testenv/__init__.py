"""The test environment: what is measured on which data."""
