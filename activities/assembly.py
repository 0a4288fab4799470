"""Every activity, made from the settings and the adapters: the composition root's half below the workers."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from activities.database import ChangeTransactions, CodeKeys
from activities.email import ChangeMails
from activities.evidence import EvidenceRecorder
from activities.privacy import PrivacyTransactions
from activities.reconcile import Reconciler
from activities.servers import ServerWork
from activities.troubles import TroubleTransactions
from changeover.adapters import Parts
from changeover.settings import WorkerSettings


class Activities:
    """The activities of one worker process."""

    def __init__(self, settings: WorkerSettings, parts: Parts) -> None:
        keys = CodeKeys(
            {key_id: settings.code_secret(key_id) for key_id in settings.code_keys},
            settings.code_key_id,
            settings.proof_secrets,
        )
        self._transactions = ChangeTransactions(
            database=parts.database,
            catalogue=parts.catalogue,
            keys=keys,
            policy=settings.policy,
            code_policy=settings.code_policy,
        )
        self._troubles = TroubleTransactions(parts.database)
        self._privacy = PrivacyTransactions(parts.database)
        quarantine = timedelta(days=settings.quarantine_days)
        self._evidence = EvidenceRecorder(parts.database, parts.host, quarantine)
        self._servers = ServerWork(parts.database, parts.catalogue, parts.host, quarantine)
        self._reconciler = Reconciler(parts.database, parts.host, quarantine, settings.retention)
        self._mails = ChangeMails(
            database=parts.database,
            catalogue=parts.catalogue,
            keys=keys,
            code_policy=settings.code_policy,
            transport=parts.transport,
            sender_domain=parts.sender_domain,
            time_zone=settings.time_zone,
        )

    def of_changes(self) -> Sequence[Callable[..., Any]]:
        """Return those of the queue of changes."""
        return [
            self._transactions.open_change,
            self._transactions.judge_code,
            self._transactions.request_code,
            self._transactions.abandon_change,
            self._transactions.complete_change,
            self._troubles.raise_trouble,
            self._troubles.settle_trouble,
            self._troubles.teardown_is_done,
            self._evidence.record_evidence,
            self._servers.create_servers,
            self._servers.apply_limits,
            self._servers.tear_down,
            self._privacy.forget_account,
            self._reconciler.check_open_changes,
            self._reconciler.check_outcome_mails,
            self._reconciler.check_runs,
            self._reconciler.check_servers,
            self._reconciler.check_addresses,
            self._reconciler.check_marks,
            self._reconciler.clean_up,
        ]

    def of_mails(self) -> Sequence[Callable[..., Any]]:
        """Return those of the queue of mails."""
        return [self._mails.send_code, self._mails.send_outcome]
