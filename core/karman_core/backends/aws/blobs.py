"""The blob port on S3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.errors import entry_error, is_refusal
from karman_core.backends.aws.settings import AwsSettings
from karman_core.domain.errors import BackendError, NotFound

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_NAME = 512

_NAME = re.compile(r"[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*")
_PREFIX = re.compile(r"[A-Za-z0-9_.=/-]+")
_DOTS = re.compile(r"(^|/)\.{1,2}(/|$)")


class S3Blobs:
    """All blobs of a deployment, in one bucket."""

    def __init__(self, clients: AwsClients, settings: AwsSettings) -> None:
        self._clients = clients
        self._settings = settings

    async def put(self, name: str, data: bytes) -> None:
        """Store; the same name again with the same bytes is no error. Durable on return."""
        await self._clients.call(
            self._clients.s3.put_object, Bucket=self._bucket(), Key=self._key(name), Body=bytes(data)
        )

    async def get(self, name: str) -> bytes:
        """Raises NotFound."""
        key = self._key(name)
        try:
            return await self._clients.call(_read, self._clients.s3, self._bucket(), key)
        except NotFound as error:
            raise NotFound(f"there is no blob {name!r}: {error.message}") from error
        except BackendError as error:
            # Whoever may not list the whole bucket is refused what is not there; a list of its own prefix tells.
            if not is_refusal(error) or await self._exists(key):
                raise
            raise NotFound(
                f"there is no blob {name!r}: it expired, was purged, or is another deployment's"
            ) from error

    async def _exists(self, key: str) -> bool:
        page = await self._clients.call(
            self._clients.s3.list_objects_v2, Bucket=self._bucket(), Prefix=key, MaxKeys=1
        )
        return any(found["Key"] == key for found in page.get("Contents", []))

    async def delete_prefix(self, prefix: str) -> None:
        """Remove every blob whose name begins with the prefix, which is not empty."""
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(f"a prefix has at least one character of [A-Za-z0-9_.=/-]: {prefix!r}")
        listing: dict[str, Any] = {
            "Bucket": self._bucket(),
            "Prefix": self._settings.blob_prefix + prefix,
        }
        client = self._clients.s3
        while True:
            page = await self._clients.call(client.list_objects_v2, **listing)
            if page.get("Contents"):
                await self._delete([found["Key"] for found in page["Contents"]])
            if not page.get("IsTruncated"):
                return
            listing["ContinuationToken"] = page["NextContinuationToken"]

    async def _delete(self, keys: list[str]) -> None:
        """Delete up to a thousand objects, as many as a page lists."""
        answer = await self._clients.call(
            self._clients.s3.delete_objects,
            Bucket=self._bucket(),
            Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
        )
        for failed in answer.get("Errors", []):
            # Whoever calls begins again: what is deleted does not come back.
            raise entry_error(
                "DeleteObjects", failed.get("Code", ""), failed.get("Message", ""), our_fault=True
            )

    def _bucket(self) -> str:
        if not self._settings.bucket:
            raise BackendError("no bucket is set for blobs: deploy the stack, or name one in the settings")
        return self._settings.bucket

    def _key(self, name: str) -> str:
        if len(name) > MAX_NAME or not _NAME.fullmatch(name):
            raise ValueError(
                f"a blob's name has up to {MAX_NAME} characters, in parts of [A-Za-z0-9_.=-] between slashes: {name!r}"
            )
        if _DOTS.search(name):  # what resolves URLs on the way would drop them
            raise ValueError(f"no part of a blob's name is `.` or `..`: {name!r}")
        return self._settings.blob_prefix + name


def _read(client: S3Client, bucket: str, key: str) -> bytes:
    """In one piece of blocking work: the bytes come after the answer's head, and they too take their time."""
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()
