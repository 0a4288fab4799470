"""Forgetting a person: one transaction, which can be run again."""

import logging
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.clock import ServerClock
from activities.failures import classified
from activities.words import actor
from changeover.storage import forgetting
from changeover.storage.database import Database
from workflows.messages import ForgetAt, Forgotten

_log = logging.getLogger(__name__)


class PrivacyTransactions:
    """Writes what only operators decide about a person's data."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    @classified
    async def forget_account(self, order: ForgetAt) -> Forgotten:
        order = replace(order, actor=actor(order.actor), at=ServerClock().believed(order.at))
        result = await self._database.write(lambda connection: self._forget(connection, order))
        _log.info(
            "account %s: %s by %s",
            order.account_id,
            "forgotten" if result.at else "not forgotten, as asked",
            result.actor,
        )
        return result

    async def _forget(self, connection: AsyncConnection, order: ForgetAt) -> Forgotten:
        account = await forgetting.lock_account(connection, order.account_id, order.at)
        if account is None:
            return Forgotten(account_id=order.account_id, actor=order.actor, found=False)
        if account.forgotten_at is not None:
            return Forgotten(
                account_id=account.id,
                actor=account.forgotten_by or "",
                at=account.forgotten_at,
                servers_left=account.servers_left,
            )
        needed = bool(account.unexpired or account.open_changes)
        if not needed:
            await forgetting.forget(connection, account.id, order.actor, order.at)
        return Forgotten(
            account_id=account.id,
            actor=order.actor,
            at=None if needed else order.at,
            unexpired=account.unexpired,
            open_changes=account.open_changes,
            servers_left=account.servers_left,
        )
