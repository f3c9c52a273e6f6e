"""The worker's side: it reads requests, checks them against its limits, and has the model answer them in turn."""
