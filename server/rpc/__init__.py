"""The gRPC side: messages, errors, the servicer and the server around it."""
