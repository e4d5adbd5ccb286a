"""Client side of becausal: ``becausal.client`` for calls, ``becausal.v1`` for the messages."""
