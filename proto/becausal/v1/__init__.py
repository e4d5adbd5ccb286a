"""Generated from the .proto files in this folder by `make stubs`; written code stands beside it, not in it."""
