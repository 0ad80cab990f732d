"""The bill of materials as a document of CycloneDX 1.6. Pure.

Equal inputs give equal bytes: everything is in a fixed order, the time comes from outside, and the
serial number is made from the content.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final, NotRequired, TypedDict

from proxy.doctor.cbom import components as made
from proxy.doctor.cbom.components import Component
from proxy.doctor.cbom.graph import APPLICATION, Edges, dependencies, used_algorithms
from proxy.doctor.cbom.inventory import Inventory


class Dependency(TypedDict):
    """What an asset uses, and what it implements."""

    ref: str
    dependsOn: NotRequired[list[str]]
    provides: NotRequired[list[str]]


Bill = TypedDict(
    "Bill",
    {
        "$schema": str,
        "bomFormat": str,
        "specVersion": str,
        "serialNumber": str,
        "version": int,
        "metadata": Mapping[str, Any],
        "components": list[Component],
        "dependencies": list[Dependency],
    },
)

_SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"


def bill(inventory: Inventory) -> Bill:
    edges = dependencies(inventory)
    components = _components(inventory)
    uses = [_dependency(ref, edges) for ref in sorted(edges.uses)]
    content = {"components": components, "dependencies": uses}
    application = {
        "type": "application",
        "bom-ref": APPLICATION,
        "name": "plexigate",
        "version": inventory.version,
        "description": "TLS 1.3 reverse proxy with post-quantum hybrid key exchange",
    }
    metadata = {
        "timestamp": inventory.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycles": [{"phase": "operations"}],
        "tools": {"components": [{"type": "application", "name": "plexigate doctor", "version": inventory.version}]},
        "component": application,
        "properties": [
            {"name": "plexigate:observed", "value": "true" if inventory.is_observed else "false"},
            *({"name": "plexigate:unread", "value": one} for one in inventory.unread),
        ],
    }
    # RFC 9562 section 5.5; the namespace is that of URLs
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([metadata, content], sort_keys=True))
    return {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": uses,
    }


def _components(inventory: Inventory) -> list[Component]:
    algorithms = {made.algorithm_ref(one): made.algorithm_component(one) for one in used_algorithms(inventory)}
    certificates = {made.certificate_ref(one.certificate): one for one in inventory.certificates}
    public_keys = {made.public_key_ref(one.certificate): one.certificate for one in inventory.certificates}
    found = [
        *(made.library_component(one) for one in inventory.libraries),
        *(made.token_component(one) for one in inventory.tokens),
        *algorithms.values(),
        *(made.certificate_component(one) for one in certificates.values()),
        *(made.public_key_component(one) for one in public_keys.values()),
        *(made.key_component(one) for one in inventory.keys),
        *(made.protocol_component(one) for one in inventory.listeners),
    ]
    return sorted(found, key=lambda one: str(one["bom-ref"]))


def _dependency(ref: str, edges: Edges) -> Dependency:
    found: Dependency = {"ref": ref}
    if edges.uses[ref]:
        found["dependsOn"] = sorted(edges.uses[ref])
    if edges.provides[ref]:
        found["provides"] = sorted(edges.provides[ref])
    return found
