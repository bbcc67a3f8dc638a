"""What a request is about, for every guard below it: whose conversation, how critical, where its data may go.

    with paramedic.request(conversation="c-12", criticality="low", residency={"eu"}): ...

What an inner request does not say is inherited.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from paramedic.contract.attributes import GENAI_CONVERSATION

CRITICALITY = "service.criticality"


@dataclass(frozen=True)
class Request:
    """Facts about the request that is being served.

    Attributes:
        conversation: Its id.
        tenant: Whose it is; never sent as it stands.
        criticality: "critical", "high", "medium", "low", or empty when nobody said.
        residency: Regions where its data may go; None for anywhere.
    """

    conversation: str = ""
    tenant: str = ""
    criticality: str = ""
    residency: frozenset[str] | None = None

    @cached_property
    def attributes(self) -> Mapping[str, str]:
        """What every span of this request carries."""
        told = {GENAI_CONVERSATION: self.conversation, CRITICALITY: self.criticality}
        return {name: value for name, value in told.items() if value}
