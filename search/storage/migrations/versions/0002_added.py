"""Trials that others added, processes by ticks since boot, the rules of failure in orders, names with a prefix."""

import json
import tomllib
from typing import Any

import sqlalchemy
from alembic import op

revision = "0002"
down_revision = "0001"

MAX_FAILURES = 10  # the default of [budget] then
CLAIMS = (
    ("deaths", sqlalchemy.Integer, "0"),
    ("faults", sqlalchemy.Integer, "0"),
    ("fault_host", sqlalchemy.String(100), "''"),
    ("excused", sqlalchemy.Boolean, "false"),
    ("grace_seconds", sqlalchemy.Float, "30"),
)
# what ours were called in studies with [training], and in those with an objective of the user's own
TRAINING_NAMES = (
    *("reason", "traceback", "seconds", "worker", "engine", "device", "seed", "repeat", "duplicates_avoided"),
    *("trained", "cpu_seconds", "avg_loss", "avg_losses", "train_accuracies", "batch_losses", "batch_losses_thinned"),
)
FINISHED = "('COMPLETE', 'PRUNED', 'FAIL')"
# what a worker wrote at the end of a trial; a trial whose owners died one after another was ended without
TOLD = f"""
    SELECT trials.trial_id FROM trials LEFT JOIN search_claims ON search_claims.trial_id = trials.trial_id
    WHERE trials.study_id = :study AND trials.state IN {FINISHED} AND (search_claims.told OR NOT EXISTS (
        SELECT 1 FROM search_orders WHERE search_orders.study_id = trials.study_id))
"""
DIED = """
    SELECT trial_id FROM trial_user_attributes
    WHERE key = 'reason' AND value_json LIKE '"its worker died % times in a row without getting further%'
"""


def upgrade() -> None:
    """Changes the tables, then what is in them; the triggers are made when all steps are done."""
    connection = op.get_bind()
    files = _study_files(connection)
    if connection.dialect.name == "sqlite":  # a table cannot be replaced that a trigger names
        for name in ("claims", "orders", "workers", "checkpoints"):
            op.execute(f"DROP TRIGGER IF EXISTS search_{name}_cascade")
    _change_tables()
    _fill_orders(connection, files)
    _let_go()
    for study_id, file in files.items():
        if "objective" in file:
            _rename_of_own(connection, study_id)
        elif file:
            _rename(connection, study_id, TRAINING_NAMES, "SELECT trial_id FROM trials WHERE study_id = :study")


def _study_files(connection: sqlalchemy.Connection) -> dict[int, dict[str, Any]]:
    """The study files by study; empty where another tool has left none that can be read."""
    rows = connection.exec_driver_sql(
        "SELECT study_id, value_json FROM study_user_attributes WHERE key = 'search:study_file'"
    )
    found = {}
    for study_id, text in rows:
        try:
            found[study_id] = tomllib.loads(json.loads(text))
        except (ValueError, TypeError, AttributeError):
            found[study_id] = {}
    return found


def _change_tables() -> None:
    for name, kind, default in CLAIMS:
        op.add_column(
            "search_claims", sqlalchemy.Column(name, kind, nullable=False, server_default=sqlalchemy.text(default))
        )
    with op.batch_alter_table("search_claims") as batch:
        for name, kind, _ in CLAIMS:
            batch.alter_column(name, existing_type=kind, existing_nullable=False, server_default=None)
    op.add_column(
        "search_orders",
        sqlalchemy.Column("max_failures", sqlalchemy.Integer, nullable=False, server_default=str(MAX_FAILURES)),
    )
    op.add_column("search_orders", sqlalchemy.Column("epoch_seconds", sqlalchemy.Float))
    op.add_column("search_orders", sqlalchemy.Column("reason", sqlalchemy.Text))
    with op.batch_alter_table("search_orders") as batch:
        batch.alter_column("max_failures", existing_type=sqlalchemy.Integer, server_default=None)
    trial = sqlalchemy.ForeignKey("trials.trial_id", ondelete="CASCADE")
    study = sqlalchemy.ForeignKey("studies.study_id", ondelete="CASCADE")
    op.create_table(
        "search_added",
        sqlalchemy.Column("trial_id", sqlalchemy.Integer, trial, primary_key=True, autoincrement=False),
        sqlalchemy.Column("study_id", sqlalchemy.Integer, study, nullable=False, index=True),
        sqlalchemy.Column("ran", sqlalchemy.Boolean, nullable=False),
        sqlalchemy.Column("is_known", sqlalchemy.Boolean, nullable=False),
    )


def _fill_orders(connection: sqlalchemy.Connection, files: dict[int, dict[str, Any]]) -> None:
    for study_id, file in files.items():
        budget = file.get("budget", {})
        connection.execute(
            sqlalchemy.text(
                "UPDATE search_orders SET max_failures = :failures, epoch_seconds = :seconds WHERE study_id = :study"
            ),
            {
                "failures": budget.get("max_failures", MAX_FAILURES),
                "seconds": budget.get("epoch_seconds"),
                "study": study_id,
            },
        )


def _let_go() -> None:
    """Running trials are adopted after a silence; what failed by nobody's fault, and what was added, is told apart."""
    op.execute("DELETE FROM search_workers")
    op.execute("UPDATE search_claims SET pid = 0, pid_started = 0")
    # a restored one had no owner, nor a worker, as a trial that another tool has begun
    op.execute(
        "UPDATE search_claims SET owner = 'restored' WHERE owner = '' AND worker = '' AND generation > 0 "
        "AND trial_id IN (SELECT trial_id FROM trials WHERE state = 'RUNNING')"
    )
    # failures that were none of the objective's doing count in no limit any more
    op.execute(
        f"UPDATE search_claims SET excused = true WHERE trial_id IN ({DIED}) OR trial_id IN (SELECT trial_id FROM "
        "trial_user_attributes WHERE key = 'reason' AND value_json LIKE '\"DuplicateConfiguration: %')"
    )
    op.execute(
        f"DELETE FROM search_checkpoints WHERE trial_id IN (SELECT trial_id FROM trials WHERE state IN {FINISHED})"
    )
    op.execute(
        "INSERT INTO search_added (trial_id, study_id, ran, is_known) "
        "SELECT trial_id, study_id, false, false FROM trials "
        f"WHERE state IN {FINISHED} AND study_id IN (SELECT study_id FROM search_orders) "
        "AND trial_id NOT IN (SELECT trial_id FROM search_claims)"
    )


def _rename_of_own(connection: sqlalchemy.Connection, study_id: int) -> None:
    """What ours wrote, which replaced the user's of the same name; all else is the user's."""
    by_worker = f"{TOLD} AND trials.trial_id NOT IN ({DIED})"
    _rename(connection, study_id, ("seconds", "worker"), by_worker)
    _rename(connection, study_id, ("traceback",), f"{by_worker} AND trials.state = 'FAIL'")
    _rename(connection, study_id, ("reason",), f"{TOLD} AND trials.state IN ('PRUNED', 'FAIL')")
    ours = "SELECT trial_id FROM search_claims WHERE study_id = :study"
    _rename(connection, study_id, ("duplicates_avoided",), ours)
    stored = "CAST(search_claims.repeat AS VARCHAR(20))"
    same = f"search_claims.trial_id = trial_user_attributes.trial_id AND {stored} = trial_user_attributes.value_json"
    _rename(connection, study_id, ("repeat",), f"{ours} AND repeat > 0 AND {same}")
    connection.execute(  # where the user's took the place of ours
        sqlalchemy.text(
            f"INSERT INTO trial_user_attributes (trial_id, key, value_json) SELECT trial_id, 'search:repeat', {stored} "
            f"FROM search_claims WHERE study_id = :study AND repeat > 0 AND trial_id NOT IN "
            "(SELECT trial_id FROM trial_user_attributes WHERE key = 'search:repeat')"
        ),
        {"study": study_id},
    )


def _rename(connection: sqlalchemy.Connection, study_id: int, names: tuple[str, ...], trials: str) -> None:
    known = ", ".join(f"'{name}'" for name in names)
    connection.execute(
        sqlalchemy.text(
            f"UPDATE trial_user_attributes SET key = 'search:' || key WHERE key IN ({known}) AND trial_id IN ({trials})"
        ),
        {"study": study_id},
    )
