"""Build what routes change in fields."""

from collections.abc import Mapping, Sequence

from config.route_fields import FieldsConfig, template_parts
from proxy.routes.field_edits import FieldDefault, FieldEdits, NamedTemplate
from proxy.routes.templates import Template


def field_edits(fields: FieldsConfig | None, defaults: Sequence[FieldDefault] = ()) -> FieldEdits | None:
    """The edits of one direction; None if there are none."""
    if fields is None:
        return FieldEdits(defaults=defaults) if defaults else None
    return FieldEdits(
        removed=[name.encode("ascii") for name in fields.remove],
        put=_named(fields.set),
        added=_named(fields.add),
        defaults=defaults,
    )


def _named(values: Mapping[str, str]) -> list[NamedTemplate]:
    return [(name.encode("ascii"), Template(template_parts(value))) for name, value in values.items()]
