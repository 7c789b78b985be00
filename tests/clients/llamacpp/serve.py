"""llama.cpp's own HTTP server, as the package xllamacpp brings it. Prints its address; ends when its input does."""

import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"tiny"}
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx = 2 * int(sys.argv[2])
params.n_parallel = 2
params.cpuparams.n_threads = 1
params.endpoint_slots = True
params.warmup = False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)  # noqa: T201
sys.stdin.read()
