"""The `becausal` command."""
