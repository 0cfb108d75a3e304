"""Whom a ticket speaks with, from when its customer is known."""

from dataclasses import dataclass

from workflows.shared.customers import Customer
from workflows.shared.desk import Desk


@dataclass(frozen=True)
class TicketParts:
    """Both are there, or none is."""

    desk: Desk
    customer: Customer
