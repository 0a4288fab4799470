"""the first schema"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
APPEND_ONLY = ("trail", "receipts")


def forbid_rewriting() -> None:
    """Make the trail and the receipts append-only, whoever writes."""
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        return
    op.execute(
        "CREATE FUNCTION changeover_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION changeover_append_only()"
        )


def allow_rewriting() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in APPEND_ONLY:
            op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        op.execute("DROP FUNCTION changeover_append_only()")


def upgrade() -> None:
    op.create_table('accounts',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('language', sa.String(length=2), nullable=False),
    sa.Column('created_at', INSTANT, nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_accounts'))
    )
    op.create_table('catalogues',
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('loaded_at', INSTANT, nullable=False),
    sa.Column('checksum', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('version', name=op.f('pk_catalogues'))
    )
    op.create_table('idempotency_keys',
    sa.Column('account_id', sa.String(length=36), nullable=False),
    sa.Column('route', sa.String(length=120), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('answer', JSON, nullable=False),
    sa.Column('created_at', INSTANT, nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['accounts.id'], name=op.f('fk_idempotency_keys_account_id')),
    sa.PrimaryKeyConstraint('account_id', 'route', 'key', name=op.f('pk_idempotency_keys'))
    )
    op.create_table('offers',
    sa.Column('catalogue_version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('game', sa.String(length=40), nullable=False),
    sa.Column('names', JSON, nullable=False),
    sa.Column('base', sa.Integer(), nullable=False),
    sa.Column('per_slot', sa.Integer(), nullable=False),
    sa.Column('min_slots', sa.Integer(), nullable=False),
    sa.Column('max_slots', sa.Integer(), nullable=False),
    sa.Column('slot_step', sa.Integer(), nullable=False),
    sa.Column('most_servers', sa.Integer(), nullable=False),
    sa.Column('visible', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['catalogue_version'], ['catalogues.version'], name=op.f('fk_offers_catalogue_version')),
    sa.PrimaryKeyConstraint('catalogue_version', 'code', name=op.f('pk_offers'))
    )
    op.create_table('services',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('account_id', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('offer_code', sa.String(length=40), nullable=False),
    sa.Column('slots', sa.Integer(), nullable=False),
    sa.Column('options', JSON, nullable=False),
    sa.Column('server_count', sa.Integer(), nullable=False),
    sa.Column('expires_at', INSTANT, nullable=False),
    sa.Column('last_committed_at', INSTANT, nullable=True),
    sa.Column('recurring_payment_active', sa.Boolean(), nullable=False),
    sa.Column('created_at', INSTANT, nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['accounts.id'], name=op.f('fk_services_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_services'))
    )
    with op.batch_alter_table('services', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_services_account_id'), ['account_id'], unique=False)

    op.create_table('offer_options',
    sa.Column('catalogue_version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('offer_code', sa.String(length=40), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('names', JSON, nullable=False),
    sa.Column('price', sa.Integer(), nullable=False),
    sa.Column('per', sa.String(length=10), nullable=False),
    sa.Column('visible', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['catalogue_version', 'offer_code'], ['offers.catalogue_version', 'offers.code'], name='fk_offer_options_offer'),
    sa.PrimaryKeyConstraint('catalogue_version', 'offer_code', 'code', name=op.f('pk_offer_options'))
    )
    op.create_table('plan_changes',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('service_id', sa.String(length=36), nullable=False),
    sa.Column('account_id', sa.String(length=36), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('stage', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=True),
    sa.Column('cause', sa.String(length=40), nullable=True),
    sa.Column('refusal', JSON, nullable=True),
    sa.Column('before', JSON, nullable=False),
    sa.Column('after', JSON, nullable=False),
    sa.Column('terms', JSON, nullable=True),
    sa.Column('destroys', JSON, nullable=False),
    sa.Column('creates', sa.Integer(), nullable=False),
    sa.Column('spends_pass', sa.Boolean(), nullable=False),
    sa.Column('as_of', INSTANT, nullable=False),
    sa.Column('window_ends_at', INSTANT, nullable=True),
    sa.Column('days_before', sa.Integer(), nullable=True),
    sa.Column('days_after', sa.Integer(), nullable=True),
    sa.Column('new_expires_at', INSTANT, nullable=True),
    sa.Column('confirmation_digest', sa.String(length=64), nullable=True),
    sa.Column('code_key_id', sa.String(length=40), nullable=True),
    sa.Column('code_number', sa.Integer(), nullable=False),
    sa.Column('code_handed_over_at', INSTANT, nullable=True),
    sa.Column('code_expires_at', INSTANT, nullable=True),
    sa.Column('wrong_on_code', sa.Integer(), nullable=False),
    sa.Column('wrong_on_change', sa.Integer(), nullable=False),
    sa.Column('accepted_proof', sa.String(length=64), nullable=True),
    sa.Column('committed_at', INSTANT, nullable=True),
    sa.Column('closed_at', INSTANT, nullable=True),
    sa.ForeignKeyConstraint(['account_id'], ['accounts.id'], name=op.f('fk_plan_changes_account_id')),
    sa.ForeignKeyConstraint(['service_id'], ['services.id'], name=op.f('fk_plan_changes_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_plan_changes'))
    )
    with op.batch_alter_table('plan_changes', schema=None) as batch_op:
        batch_op.create_index('ix_plan_changes_account', ['account_id'], unique=False)
        batch_op.create_index('ix_plan_changes_service', ['service_id', 'as_of'], unique=False)
        batch_op.create_index('uq_plan_changes_open', ['service_id'], unique=True, sqlite_where=sa.text("stage IN ('applying', 'awaiting_code', 'committed', 'needs_attention', 'requested')"), postgresql_where=sa.text("stage IN ('applying', 'awaiting_code', 'committed', 'needs_attention', 'requested')"))

    op.create_table('code_tries',
    sa.Column('change_id', sa.String(length=36), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('proof', sa.String(length=64), nullable=False),
    sa.Column('at', INSTANT, nullable=False),
    sa.ForeignKeyConstraint(['change_id'], ['plan_changes.id'], name=op.f('fk_code_tries_change_id')),
    sa.PrimaryKeyConstraint('change_id', 'number', 'proof', name=op.f('pk_code_tries'))
    )
    op.create_table('passes',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('account_id', sa.String(length=36), nullable=False),
    sa.Column('granted_at', INSTANT, nullable=False),
    sa.Column('spent_at', INSTANT, nullable=True),
    sa.Column('spent_by', sa.String(length=36), nullable=True),
    sa.ForeignKeyConstraint(['account_id'], ['accounts.id'], name=op.f('fk_passes_account_id')),
    sa.ForeignKeyConstraint(['spent_by'], ['plan_changes.id'], name=op.f('fk_passes_spent_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_passes')),
    sa.UniqueConstraint('spent_by', name=op.f('uq_passes_spent_by'))
    )
    with op.batch_alter_table('passes', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_passes_account_id'), ['account_id'], unique=False)

    op.create_table('servers',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('service_id', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('address', sa.String(length=60), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('backups', sa.Integer(), nullable=False),
    sa.Column('created_at', INSTANT, nullable=False),
    sa.Column('created_by', sa.String(length=36), nullable=True),
    sa.Column('marked_at', INSTANT, nullable=True),
    sa.Column('destroyed_by', sa.String(length=36), nullable=True),
    sa.Column('destroyed_at', INSTANT, nullable=True),
    sa.CheckConstraint("state IN ('creating', 'active', 'marked', 'destroying', 'destroyed')", name=op.f('ck_servers_state')),
    sa.ForeignKeyConstraint(['created_by'], ['plan_changes.id'], name=op.f('fk_servers_created_by')),
    sa.ForeignKeyConstraint(['destroyed_by'], ['plan_changes.id'], name=op.f('fk_servers_destroyed_by')),
    sa.ForeignKeyConstraint(['service_id'], ['services.id'], name=op.f('fk_servers_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_servers'))
    )
    with op.batch_alter_table('servers', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_servers_service_id'), ['service_id'], unique=False)

    op.create_table('trail',
    sa.Column('seq', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('change_id', sa.String(length=36), nullable=False),
    sa.Column('at', INSTANT, nullable=False),
    sa.Column('event', sa.String(length=40), nullable=False),
    sa.Column('stage', sa.String(length=20), nullable=False),
    sa.Column('actor', sa.String(length=60), nullable=False),
    sa.Column('data', JSON, nullable=False),
    sa.ForeignKeyConstraint(['change_id'], ['plan_changes.id'], name=op.f('fk_trail_change_id')),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_trail'))
    )
    with op.batch_alter_table('trail', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_trail_change_id'), ['change_id'], unique=False)

    op.create_table('addresses',
    sa.Column('address', sa.String(length=60), nullable=False),
    sa.Column('server_id', sa.String(length=36), nullable=True),
    sa.Column('free_from', INSTANT, nullable=True),
    sa.Column('held', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['server_id'], ['servers.id'], name=op.f('fk_addresses_server_id')),
    sa.PrimaryKeyConstraint('address', name=op.f('pk_addresses')),
    sa.UniqueConstraint('server_id', name=op.f('uq_addresses_server_id'))
    )
    with op.batch_alter_table('addresses', schema=None) as batch_op:
        batch_op.create_index('ix_addresses_free', ['free_from'], unique=False, sqlite_where=sa.text('server_id IS NULL'), postgresql_where=sa.text('server_id IS NULL'))

    op.create_table('receipts',
    sa.Column('change_id', sa.String(length=36), nullable=False),
    sa.Column('server_id', sa.String(length=36), nullable=False),
    sa.Column('step', sa.String(length=20), nullable=False),
    sa.Column('at', INSTANT, nullable=False),
    sa.Column('evidence', JSON, nullable=False),
    sa.ForeignKeyConstraint(['change_id'], ['plan_changes.id'], name=op.f('fk_receipts_change_id')),
    sa.ForeignKeyConstraint(['server_id'], ['servers.id'], name=op.f('fk_receipts_server_id')),
    sa.PrimaryKeyConstraint('change_id', 'server_id', 'step', name=op.f('pk_receipts'))
    )
    op.create_table('tasks',
    sa.Column('change_id', sa.String(length=36), nullable=False),
    sa.Column('kind', sa.String(length=10), nullable=False),
    sa.Column('server_id', sa.String(length=36), nullable=False),
    sa.Column('address', sa.String(length=60), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('step', sa.String(length=20), nullable=True),
    sa.Column('problem', sa.Text(), nullable=True),
    sa.Column('problem_since', INSTANT, nullable=True),
    sa.Column('address_held', sa.Boolean(), nullable=False),
    sa.Column('done_at', INSTANT, nullable=True),
    sa.CheckConstraint("kind IN ('create', 'limits', 'teardown')", name=op.f('ck_tasks_kind')),
    sa.CheckConstraint("state IN ('pending', 'attention', 'done', 'skipped')", name=op.f('ck_tasks_state')),
    sa.ForeignKeyConstraint(['change_id'], ['plan_changes.id'], name=op.f('fk_tasks_change_id')),
    sa.ForeignKeyConstraint(['server_id'], ['servers.id'], name=op.f('fk_tasks_server_id')),
    sa.PrimaryKeyConstraint('change_id', 'kind', 'server_id', name=op.f('pk_tasks'))
    )
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.create_index('ix_tasks_server', ['server_id'], unique=False)

    forbid_rewriting()


def downgrade() -> None:
    allow_rewriting()
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.drop_index('ix_tasks_server')

    op.drop_table('tasks')
    op.drop_table('receipts')
    with op.batch_alter_table('addresses', schema=None) as batch_op:
        batch_op.drop_index('ix_addresses_free', sqlite_where=sa.text('server_id IS NULL'), postgresql_where=sa.text('server_id IS NULL'))

    op.drop_table('addresses')
    with op.batch_alter_table('trail', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_trail_change_id'))

    op.drop_table('trail')
    with op.batch_alter_table('servers', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_servers_service_id'))

    op.drop_table('servers')
    with op.batch_alter_table('passes', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_passes_account_id'))

    op.drop_table('passes')
    op.drop_table('code_tries')
    with op.batch_alter_table('plan_changes', schema=None) as batch_op:
        batch_op.drop_index('uq_plan_changes_open', sqlite_where=sa.text("stage IN ('applying', 'awaiting_code', 'committed', 'needs_attention', 'requested')"), postgresql_where=sa.text("stage IN ('applying', 'awaiting_code', 'committed', 'needs_attention', 'requested')"))
        batch_op.drop_index('ix_plan_changes_service')
        batch_op.drop_index('ix_plan_changes_account')

    op.drop_table('plan_changes')
    op.drop_table('offer_options')
    with op.batch_alter_table('services', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_services_account_id'))

    op.drop_table('services')
    op.drop_table('offers')
    op.drop_table('idempotency_keys')
    op.drop_table('catalogues')
    op.drop_table('accounts')
