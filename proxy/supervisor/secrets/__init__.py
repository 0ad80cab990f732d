"""What the parent keeps between editions: keys that rest sealed, ticket and payload secrets, the
audit log.
"""
