"""Exosphere's HTTP API, `/v0`, on Karman's engine: whoever uses Exosphere today changes a URL.

A translation and no more: every route calls the use cases that `/v1` calls. Where Exosphere misbehaves, it
is not copied. What its clients see differently beside that:

- A node that gives k outputs is one state with k branches, not k states; its first output is shown.
- A retry is the same state again, under the same id. The attempt before it is shown as a RETRY_CREATED state of its
  own, whose id is the state's with `~` and its number; no report is taken for that id.
- What a worker takes is leased (`ExosphereSettings.lease_seconds`), and given to another one when no report comes.
- A manual retry is for a state that alone made its run fail, once that has ended; all others are refused (409).
- Names of namespaces, graphs and identifiers are letters, digits, `_` and `-`, those of nodes may have dots.
- Cron has five fields, in UTC. Template inputs that a node does not have are not kept.
- The counts of a run over 1,000 states that goes on are what its engine has summed up; `total` of a list of runs is
  exact to 10,000 beyond the page; a drawing of over 10,000 states ends there and says `truncated`.
- `/v0/namespaces` knows the namespaces in which nodes were registered through this API.
- Pages of other origins (CORS) are not served.
"""

from karman_functions.exosphere.app import ExosphereApplication, exosphere_application
from karman_functions.exosphere.settings import ExosphereSettings

__all__ = ["ExosphereApplication", "ExosphereSettings", "exosphere_application"]
