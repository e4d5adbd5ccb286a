"""The audit page: explanations as people look at them. It reads through the application, as the gRPC services do."""
