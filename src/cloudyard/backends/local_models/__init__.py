"""Local models: one llama.cpp worker process a model, watched over by the server."""
