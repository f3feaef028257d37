"""A deployment on moto, and the process of a function in it."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from karman_core.domain.definition import RegisteredNode
from karman_functions import composition
from tests.contract.backends.moto import _one_at_a_time
from tests.deployments import NAMESPACE, RUNTIME, Deployment, deployed
from tests.quiet_logs import logs_put_back


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    """With one registered node, `a`; the first event of a function makes its process."""
    _one_at_a_time()
    with mock_aws(), deployed() as made, logs_put_back():
        composition.process.cache_clear()
        nodes = [RegisteredNode(name=name, runtime=RUNTIME) for name in ("a", "b")]
        made.run(made.engine.register_nodes(NAMESPACE, nodes))
        yield made
        if composition.process.cache_info().currsize:
            composition.process().close()
        composition.process.cache_clear()
