"""What the proxy does with whole tokens: probes, trials, twins, the keys in use."""
