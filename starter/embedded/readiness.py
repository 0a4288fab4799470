"""Whether Temporal answers, with the namespace and search attributes that the worker needs."""

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.service import RPCError

from changeover.domain.problems import EngineUnavailable
from starter.engine import connect_to_temporal


async def temporal_is_ready() -> bool:
    try:
        client = await connect_to_temporal()
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except (EngineUnavailable, RPCError):
        return False
    return True
