"""What an upstream's error status means, and when it says to come back."""

from __future__ import annotations

from headgate.core.faults import Fault, UpstreamDown
from headgate.core.seams import Answered


def fault_of(answered: Answered) -> Fault:
    """The fault of an upstream's answer other than 2xx."""
    return UpstreamDown(f"the upstream answered {answered.status}")
