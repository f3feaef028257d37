"""Who signs requests with AWS credentials (IAM, SigV4), and what each may do.

API Gateway, or a function URL, checks the signature and tells in the event who signed. The deployment says which of
these identities have which scopes in which namespace; whoever is not named there may do nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from karman_core.domain.definition import Name
from karman_core.engine.access import IAM_PREFIX, Principal, Scope

EVERY_NAMESPACE = "*"

ARN_PATTERN = r"^arn:aws[a-z-]*:(?:iam|sts)::[0-9]{12}:[A-Za-z0-9+=,.@_/*-]{1,512}$"
"""Of a user, a role or a session. The account is spelled out: a `*` there would let in whoever has an AWS account."""


_NONE = ""
"""The namespace of who has none; there is no such name."""


class IamCaller(BaseModel):
    """Scopes of AWS identities in a namespace.

    Attributes:
        arn: of the identities, as API Gateway tells it: `arn:aws:iam::123456789012:user/ann`, or of a role that was
            taken `arn:aws:sts::123456789012:assumed-role/NAME/SESSION`, without the role's path. A `*` stands for any
            characters, in the part after the account.
        namespace: or `*` for all of them.
        scopes: as an API key's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arn: Annotated[str, StringConstraints(pattern=ARN_PATTERN)]
    namespace: Literal["*"] | Name
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]

    def is_of(self, arn: str) -> bool:
        """Whether this is about the identity."""
        return re.fullmatch(".*".join(map(re.escape, self.arn.split("*"))), arn, re.DOTALL) is not None

    def serves(self, namespace: str | None) -> bool:
        """Whether this is about the namespace; None for what belongs to the server."""
        return self.namespace in {EVERY_NAMESPACE, namespace}


class IamCallers:
    """Finds out who a signed request comes from."""

    def __init__(self, callers: Sequence[IamCaller] = ()) -> None:
        self._callers = tuple(callers)

    def principal(self, about: Mapping[str, Any], namespace: str | None) -> Principal | None:
        """Whose request it is; one who is not named has no scope. None for a request without a checked signature.

        Args:
            about: the event's `requestContext`, which nobody but the gateway writes.
            namespace: of the route.
        """
        signer = ((about.get("authorizer") or {}).get("iam") or {}).get("userArn")
        if not isinstance(signer, str) or not signer:
            return None
        found = [caller for caller in self._callers if caller.is_of(signer) and caller.serves(namespace)]
        everywhere = {
            scope for caller in found if caller.namespace == EVERY_NAMESPACE for scope in caller.scopes
        }
        here = frozenset(scope for caller in found for scope in caller.scopes)
        # An administrator of all namespaces is what the server's own key is; all others are of one, or of none.
        of = None if Scope.ADMIN in everywhere else (namespace or _NONE) if found else _NONE
        return Principal(f"{IAM_PREFIX}{signer}", of, here)
