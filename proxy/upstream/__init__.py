"""The upstream half: dialling, pooling and the connections to the servers behind us."""
