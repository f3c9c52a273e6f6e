"""The cloud worker: a model behind gRPC that can be driven token by token, and the client that makes it look local.

On the cloud's machine `ianvs cloud --model zoo:cloud`; at the edge `load_model("cloud", "host:50051")`, whose
`stepper()` opens sessions that behave as those of a local model do.
"""
