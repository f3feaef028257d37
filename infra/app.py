"""The app of `cdk.json`: the control plane of a stage, and the examples when they are asked for.

cdk deploy --all -c karman='{"stage": "dev"}' -c examples=true
"""

from __future__ import annotations

from karman_infra.app import main

main()
