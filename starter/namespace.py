"""The namespace's side of our search attributes: a workflow that writes one it lacks would fail for ever."""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from workflows import search_attributes


class NamespaceIncomplete(Exception):
    """The namespace lacks search attributes and would not take them; the text says which."""


async def missing_search_attributes(client: Client) -> dict[str, IndexedValueType.ValueType]:
    """Return those that the namespace lacks, by name, with their types."""
    present = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return {
        name: kind
        for name, kind in search_attributes.TYPES.items()
        if present.custom_attributes.get(name) != kind
    }


async def register_search_attributes(client: Client) -> None:
    """Make sure that the namespace has our search attributes, or raise `NamespaceIncomplete`."""
    missing = await missing_search_attributes(client)
    if not missing:
        return
    request = AddSearchAttributesRequest(
        namespace=client.namespace,
        search_attributes=missing,
    )
    try:
        await client.operator_service.add_search_attributes(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            names = ", ".join(sorted(missing))
            raise NamespaceIncomplete(
                f"the namespace {client.namespace} lacks the search attributes {names} and would not take "
                f"them ({error.status.name}); an administrator must add them"
            ) from None
