"""When a delivery is due: the contract's latency after its schedule, moved to a 開庁日."""

from __future__ import annotations

from datetime import datetime, timedelta

from croniter import croniter

from kpi_warehouse.alerts.office_hours import add_business_days
from kpi_warehouse.contract import Contract, load_contract
from kpi_warehouse.errors import ContractError
from kpi_warehouse.settings import settings

TICKS_LOOKED_BACK = 400


def feeds_that_can_be_read() -> list[Contract]:
    """The active contracts that can be read; what is wrong with others Airflow's import errors say."""
    read = []
    for path in sorted(settings().contracts.glob("*.odcs.yaml")):
        try:
            contract = load_contract(path)
        except ContractError:
            continue
        if contract.status == "active":
            read.append(contract)
    return read


def last_due_tick(contract: Contract, now: datetime) -> datetime | None:
    """The newest scheduled delivery whose due day has passed; None when none has since the feed came into force."""
    ticks = croniter(contract.sla.cron, now)
    for _ in range(TICKS_LOOKED_BACK):
        tick: datetime = ticks.get_prev(datetime)
        due = add_business_days((tick + timedelta(days=contract.sla.wait_days)).date(), 0)
        if due < now.date():
            return tick
    return None
