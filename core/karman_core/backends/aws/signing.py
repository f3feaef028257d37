"""AWS's signature of HTTP requests (SigV4), for clients of a server behind IAM authorization.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from karman_core.backends.aws.logs import silence
from karman_core.domain.errors import InvalidRequest, Unauthorized


def signer(
    *, region: str | None, service: str, profile: str | None = None
) -> Callable[[str, str, bytes], Mapping[str, str]]:
    """What gives the headers that sign a request of a method, a URL and a body, with the credentials of the machine.

    Raises:
        InvalidRequest: no region is known.
        Unauthorized: no credentials are found.
    """
    silence()
    try:
        session = Session(profile=profile)
        where = region or session.get_config_variable("region")
        credentials = session.get_credentials()
    except BotoCoreError as error:
        raise InvalidRequest(f"The AWS configuration cannot be used: {error}") from error
    if not where:
        raise InvalidRequest("No AWS region is known: give one, or set AWS_REGION.")
    if credentials is None:
        raise Unauthorized("No AWS credentials were found.")

    def sign(method: str, url: str, body: bytes) -> Mapping[str, str]:
        request = AWSRequest(method=method, url=url, data=body)
        # Frozen for each: the credentials may be renewed meanwhile.
        SigV4Auth(credentials.get_frozen_credentials(), service, where).add_auth(request)
        return {str(name): str(value) for name, value in request.headers.items()}

    return sign
