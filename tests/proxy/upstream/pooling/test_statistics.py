"""What is told about a server."""

from proxy.upstream.pooling.statistics import StreamCounts


def test_counts_of_another_configuration_go_on() -> None:
    first, second = StreamCounts(), StreamCounts()
    first.requests, first.goaways, first.refused = 3, 2, 1
    second.follow(first)
    assert (second.requests, second.goaways, second.refused) == (3, 2, 1)
