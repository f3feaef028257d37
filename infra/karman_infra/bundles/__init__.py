"""What is uploaded to Lambda: Karman's packages, what they need, and a user's nodes, packaged without Docker."""

from karman_infra.bundles.build import Bundle, Target, control_bundle, node_bundle
from karman_infra.bundles.sources import NodeSource

__all__ = ["Bundle", "NodeSource", "Target", "control_bundle", "node_bundle"]
