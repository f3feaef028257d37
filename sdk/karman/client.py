"""The client of Karman's HTTP API: what `karman.Client` and `karman.AsyncClient` take and give."""

from __future__ import annotations

from karman._internal.http.async_client import AsyncClient
from karman._internal.http.client import Client
from karman._internal.http.configuration import ApiKeyAuth
from karman._internal.http.failures import Backoff
from karman._internal.http.results import Checked, Firings, GraphVersion, Health, Page
from karman._internal.http.runtime import Runtime
from karman._internal.http.signing import SigV4Auth
from karman_core.domain.quotas import NamespaceQuotas
from karman_core.domain.statistics import Durations
from karman_core.engine.access import IssuedKey, KeyView, Scope
from karman_core.engine.auditing import AuditEntry
from karman_core.engine.summaries import FailureCount, NamespaceView, RunProgress, Statistics
from karman_core.engine.views import (
    AttemptView,
    BulkView,
    GraphView,
    GroupView,
    LeaseView,
    PurgeView,
    Refusal,
    Registration,
    Released,
    Report,
    RunView,
    Started,
    StateView,
    TotalsView,
    Work,
)
from karman_core.engine.webhook_items import DeliveryView, IssuedWebhook, WebhookView

__all__ = [
    "ApiKeyAuth",
    "AsyncClient",
    "AttemptView",
    "AuditEntry",
    "Backoff",
    "BulkView",
    "Checked",
    "Client",
    "DeliveryView",
    "Durations",
    "FailureCount",
    "Firings",
    "GraphVersion",
    "GraphView",
    "GroupView",
    "Health",
    "IssuedKey",
    "IssuedWebhook",
    "KeyView",
    "LeaseView",
    "NamespaceQuotas",
    "NamespaceView",
    "Page",
    "PurgeView",
    "Refusal",
    "Registration",
    "Released",
    "Report",
    "RunProgress",
    "RunView",
    "Runtime",
    "Scope",
    "SigV4Auth",
    "Started",
    "StateView",
    "Statistics",
    "TotalsView",
    "WebhookView",
    "Work",
]
