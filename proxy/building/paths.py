"""Build what routes do with paths."""

from config.route_paths import segments_of
from config.schema import RouteConfig
from proxy.routes.paths import PathChange, PrefixChange, Rewrite


def path_change(route: RouteConfig) -> PathChange | None:
    """What a route does with the path; None if it leaves it alone."""
    if route.rewrite is not None:
        segments = list(segments_of(route.rewrite.path))
        numbers = {name: number for number, (name, is_part) in enumerate(segments) if is_part}
        form, to = (
            [numbers[name] if is_part else name.encode("ascii") for name, is_part in segments_of(one)]
            for one in (route.rewrite.path, route.rewrite.to)
        )
        return Rewrite(form, to, has_rest=segments[-1][1] and segments[-1][0].endswith("*"))
    if route.strip_prefix is not None or route.add_prefix is not None:
        return PrefixChange((route.strip_prefix or "").encode("ascii"), (route.add_prefix or "").encode("ascii"))
    return None
