"""The PROXY protocol, versions 1 and 2: the headers of balancers, and ours for servers."""
