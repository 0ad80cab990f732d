"""Keys that live in a PKCS#11 token: made, listed, used and destroyed there.

A process of its own loads the module (`process`); others call it (`clients`). Both know what is
here: names and kinds of keys, errors, frames. The event loop never waits for the token.
"""
