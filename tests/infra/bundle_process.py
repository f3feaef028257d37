"""A function as Lambda starts it: the bundle's folder on the path, and nothing else that is not Python's own.

    python -I -S bundle_process.py FOLDER HANDLER < events.json

calls the handler with each event and writes its answers. `-I -S` leaves site-packages and the environment's paths out.
"""

import importlib
import json
import sys
from types import SimpleNamespace


def main(folder: str, handler: str) -> None:
    sys.path[:] = [folder, *(each for each in sys.path if "site-packages" not in each)]
    module, _, function = handler.rpartition(".")
    call = getattr(importlib.import_module(module), function)
    context = SimpleNamespace(
        aws_request_id="request",
        function_name="function",
        memory_limit_in_mb=1_024,
        get_remaining_time_in_millis=lambda: 60_000,
    )
    answers = [call(event, context) for event in json.load(sys.stdin)]
    strangers = sorted(
        name
        for name, each in sys.modules.items()
        if "site-packages" in str(getattr(each, "__file__", "") or "")
    )
    sys.stdout.write("\n" + json.dumps({"answers": answers, "strangers": strangers}))


if __name__ == "__main__":
    main(*sys.argv[1:])
