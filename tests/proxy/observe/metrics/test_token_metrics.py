"""The metrics of tokens."""

from proxy.observe.metrics.token_metrics import TOKENS


def test_each_is_about_a_token() -> None:
    assert {metric.labels[0] for metric in TOKENS} == {"token"}
    assert all(metric.name.startswith("plexigate_token_") for metric in TOKENS)
