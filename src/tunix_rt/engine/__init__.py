"""3c The only code that imports JAX and Tunix. It runs in its own process: `python -m tunix_rt.engine <attempt dir>`.

It reads `config.json` and `inputs.json`, checks that the model, dataset and adapter it finds are the ones named there, and
writes only into the attempt folder.
"""
