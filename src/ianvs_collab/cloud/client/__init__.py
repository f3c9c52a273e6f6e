"""The client's side: a stream to the worker, sessions on it that mend themselves, and a model server over both."""
