"""What an auditor checks without the service: commitments, the Merkle log, signed checkpoints, exports.

Needs cryptography and rfc8785 (``pip install becausal-client[audit]``); no server, no database, no model.
``python -m becausal.audit FILE`` verifies an export.
"""
