"""Three proxies that share secrets over three members of etcd, with TLS, and everything that can happen to them."""
