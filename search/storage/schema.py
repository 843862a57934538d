"""Ten tables of ours beside Optuna's, and the handles on Optuna's own.

Optuna's tables hold what every Optuna tool reads. `search_claims` holds who owns a trial, `search_orders` what a
study may do, `search_workers` who works on it, `search_checkpoints` how far a trial has trained, `search_logs` the last
of what its code has printed, `search_added` which trials another tool added with their result, `search_counts` how many
there are of each kind, `search_rungs` what a trial had at each rung of a pruner that pauses, `search_finished` which
trials have finished, in which order, `search_notices` what people are told. All vanish with the study, whichever tool
deletes it.

A change of these tables needs a step in `storage/migrations`, and a new `HEAD`.
"""

import sqlalchemy
from optuna.storages._rdb import models

from search.space import spaces
from search.storage import columns, outboxes

studies = models.StudyModel.__table__
directions = models.StudyDirectionModel.__table__
study_attributes = models.StudyUserAttributeModel.__table__
study_system_attributes = models.StudySystemAttributeModel.__table__
trials = models.TrialModel.__table__
params = models.TrialParamModel.__table__
values = models.TrialValueModel.__table__
steps = models.TrialIntermediateValueModel.__table__
attributes = models.TrialUserAttributeModel.__table__
system_attributes = models.TrialSystemAttributeModel.__table__

ours = columns.ours

claims = sqlalchemy.Table(
    "search_claims",
    ours,
    columns.trial_id(),
    columns.study_id(),
    # the reservation of a configuration and repeat: NULL until it is sampled
    sqlalchemy.Column("config", sqlalchemy.String(spaces.KEY_CHARACTERS)),
    # which training seed: 0 is the study's own, others are asked for
    sqlalchemy.Column("repeat", sqlalchemy.Integer, nullable=False, default=0),
    # the request that enqueued the trial, so that its repetition is noticed
    sqlalchemy.Column("request", sqlalchemy.String(40), index=True),
    # token of the claim; empty while nobody owns the trial
    sqlalchemy.Column("owner", sqlalchemy.String(40), nullable=False, default="", index=True),
    sqlalchemy.Column("generation", sqlalchemy.Integer, nullable=False, default=0),
    # a counter, never a time: clocks of different machines are not compared
    sqlalchemy.Column("beat", sqlalchemy.Integer, nullable=False, default=0),
    # the last epoch that any owner has finished, and how many owners in a row went without getting further
    sqlalchemy.Column("reached", sqlalchemy.Integer, nullable=False, default=0),
    sqlalchemy.Column("stalls", sqlalchemy.Integer, nullable=False, default=0),
    # how many of these are known to have died; the others fell silent, or their device failed
    sqlalchemy.Column("deaths", sqlalchemy.Integer, nullable=False, default=0),
    sqlalchemy.Column("adoptions", sqlalchemy.Integer, nullable=False, default=0),
    # failures that were not the objective's doing, and the host of the last one
    sqlalchemy.Column("faults", sqlalchemy.Integer, nullable=False, default=0),
    sqlalchemy.Column("fault_host", sqlalchemy.String(100), nullable=False, default=""),
    # a FAIL that does not count against max_failures
    sqlalchemy.Column("excused", sqlalchemy.Boolean, nullable=False, default=False),
    # training time over all owners
    sqlalchemy.Column("seconds", sqlalchemy.Float, nullable=False, default=0.0),
    sqlalchemy.Column("told", sqlalchemy.Boolean, nullable=False, default=False),
    # the epoch after which the trial paused, while it does; set beside `told` where the study ended meanwhile
    sqlalchemy.Column("paused", sqlalchemy.Integer),
    # its value then, the lower the better
    sqlalchemy.Column("standing", sqlalchemy.Float),
    # the highest rung that it may go beyond
    sqlalchemy.Column("passed", sqlalchemy.Integer, nullable=False, server_default=sqlalchemy.text("0")),
    # what it is trained with to its end, by `models.backends`; NULL for own code
    sqlalchemy.Column("backend", sqlalchemy.String(100)),
    sqlalchemy.Column("worker", sqlalchemy.String(200), nullable=False, default=""),
    sqlalchemy.Column("host", sqlalchemy.String(100), nullable=False, default=""),
    sqlalchemy.Column("pid", sqlalchemy.Integer, nullable=False, default=0),
    # ticks since the host's boot
    sqlalchemy.Column("pid_started", sqlalchemy.Float, nullable=False, default=0.0),
    # the owner's own: silence after which it counts as gone
    sqlalchemy.Column("grace_seconds", sqlalchemy.Float, nullable=False, default=30.0),
    sqlalchemy.UniqueConstraint("study_id", "config"),
    sqlalchemy.Index("search_claims_worker", "study_id", "worker", "trial_id"),
)
# Claims whose time may still grow; `seconds` of the others is in the kept counts. A beat changes none of these columns.
OPEN = "NOT told AND generation > 0 AND paused IS NULL"
columns.partial("search_claims_open", OPEN, claims, "study_id")
PAUSED = "NOT told AND paused IS NOT NULL"
columns.partial("search_claims_paused", PAUSED, claims, "study_id", "paused", "standing", "trial_id")

# What a trial had at a rung, whatever became of it since. Rows are added under the study's lock and never changed.
rungs = sqlalchemy.Table(
    "search_rungs",
    ours,
    sqlalchemy.Column("rung_id", sqlalchemy.Integer, primary_key=True),
    sqlalchemy.Column("trial_id", sqlalchemy.ForeignKey(trials.c.trial_id, ondelete="CASCADE"), nullable=False),
    columns.study_id(),
    # the step
    sqlalchemy.Column("rung", sqlalchemy.Integer, nullable=False),
    # how many had reported it then, this one among them: the highest is how many there are
    sqlalchemy.Column("place", sqlalchemy.Integer, nullable=False),
    # the value, the lower the better; NULL for nan
    sqlalchemy.Column("standing", sqlalchemy.Float),
    sqlalchemy.UniqueConstraint("trial_id", "rung"),
    sqlalchemy.Index("search_rungs_place", "study_id", "rung", "place"),
    sqlalchemy.Index("search_rungs_standing", "study_id", "rung", "standing", "trial_id"),
)

# A ledger: the latest row is in force, `token` makes a repeated request the same request.
orders = sqlalchemy.Table(
    "search_orders",
    ours,
    sqlalchemy.Column("order_id", sqlalchemy.Integer, primary_key=True),
    columns.study_id(),
    sqlalchemy.Column("token", sqlalchemy.String(40), nullable=False, unique=True),
    sqlalchemy.Column("trials", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("hours", sqlalchemy.Float),
    sqlalchemy.Column("state", sqlalchemy.String(20), nullable=False),
    sqlalchemy.Column("at_once", sqlalchemy.Boolean, nullable=False),
    sqlalchemy.Column("max_failures", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("epoch_seconds", sqlalchemy.Float),
    # why a study stopped by itself
    sqlalchemy.Column("reason", sqlalchemy.Text),
    # what ends a study before its trials are used up; see `ledger.stops`
    sqlalchemy.Column("target", sqlalchemy.Float),
    sqlalchemy.Column("patience", sqlalchemy.Integer),
    sqlalchemy.Column("deadline", sqlalchemy.String(40)),
    sqlalchemy.Column("regret", sqlalchemy.Float),
    # written in the row in force: when the run began, by the database's clock, and what a model said last
    sqlalchemy.Column("begun_at", sqlalchemy.Float),
    sqlalchemy.Column("bound", sqlalchemy.Float),
    sqlalchemy.Column("bound_trials", sqlalchemy.Integer),
    # how often ended trials of the study were woken: what is remembered of them holds for one number
    sqlalchemy.Column("wakings", sqlalchemy.Integer, nullable=False, server_default=sqlalchemy.text("0")),
)

# The training after an epoch of a trial that runs or waits; see `ledger.checkpoints`.
checkpoints = sqlalchemy.Table(
    "search_checkpoints",
    ours,
    columns.trial_id(),
    sqlalchemy.Column("epoch", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("history", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("weights", sqlalchemy.LargeBinary, nullable=False),
    sqlalchemy.Column("checksum", sqlalchemy.String(64), nullable=False),
)

# The end of what the code of a trial of the user's own has printed; see `ledger.logs`.
logs = sqlalchemy.Table(
    "search_logs",
    ours,
    columns.trial_id(),
    # of its last owner
    sqlalchemy.Column("host", sqlalchemy.String(100), nullable=False),
    sqlalchemy.Column("bytes", sqlalchemy.BigInteger, nullable=False),
    sqlalchemy.Column("tail", sqlalchemy.Text, nullable=False),
)

# Who works on a study, busy or idle, and with which `backends`. `seen_at` is the database's clock, which all share.
workers = sqlalchemy.Table(
    "search_workers",
    ours,
    sqlalchemy.Column("worker_id", sqlalchemy.String(40), primary_key=True),
    columns.study_id(),
    sqlalchemy.Column("name", sqlalchemy.String(200), nullable=False),
    sqlalchemy.Column("host", sqlalchemy.String(100), nullable=False),
    sqlalchemy.Column("pid", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("pid_started", sqlalchemy.Float, nullable=False),
    sqlalchemy.Column("device", sqlalchemy.String(40), nullable=False),
    sqlalchemy.Column("grace_seconds", sqlalchemy.Float, nullable=False),
    sqlalchemy.Column("seen_at", sqlalchemy.Float, nullable=False),
    sqlalchemy.Column("backends", sqlalchemy.Text, nullable=False, server_default=sqlalchemy.text("''")),
)

# Trials that another tool added with their result, as study.add_trial does, or that it `ran`; the others use up no
# budget. `is_known` once their configuration is reserved, or known to lie outside the space.
added = sqlalchemy.Table(
    "search_added",
    ours,
    columns.trial_id(),
    sqlalchemy.Column(
        "study_id", sqlalchemy.ForeignKey(studies.c.study_id, ondelete="CASCADE"), nullable=False, index=True
    ),
    sqlalchemy.Column("ran", sqlalchemy.Boolean, nullable=False, default=False),
    sqlalchemy.Column("is_known", sqlalchemy.Boolean, nullable=False, default=False),
)
UNKNOWN = "NOT is_known"
columns.partial("search_added_unknown", UNKNOWN, added, "study_id")


def _kept(name: str, kind: type[sqlalchemy.Integer] = sqlalchemy.Integer) -> sqlalchemy.Column[int]:
    return sqlalchemy.Column(name, kind, nullable=False, server_default=sqlalchemy.text("0"))


# What changed in the counts of a study, added up from time to time; triggers write it, see `storage.tallies`. Without a
# foreign key: its check would lock the study's row, for which a claim holds up every other tool.
counts = sqlalchemy.Table(
    "search_counts",
    ours,
    sqlalchemy.Column("count_id", sqlalchemy.Integer, primary_key=True),
    sqlalchemy.Column("study_id", sqlalchemy.Integer, nullable=False, index=True),
    # trials that were not added with their result, by state; all that were
    *map(_kept, ("running", "waiting", "complete", "pruned", "fail", "added")),
    # FAIL trials that count against max_failures
    _kept("failures"),
    # reserved configurations with the study's own training seed
    _kept("configs"),
    # trials that have paused and wait
    _kept("paused"),
    # training time of trials that were told
    _kept("microseconds", sqlalchemy.BigInteger),
)

# Trials that are COMPLETE or PRUNED, by `place`, then by id; triggers write it, see `storage.finishes`. `score` is the
# value of one that is complete, such that less is better. `is_outside`: another tool's, with a configuration that is
# none of the space. `is_counted`: of the budget, and not ended while it paused. No foreign key to the study, as above.
finished = sqlalchemy.Table(
    "search_finished",
    ours,
    columns.trial_id(),
    sqlalchemy.Column("study_id", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("place", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("score", sqlalchemy.Float),
    sqlalchemy.Column("is_outside", sqlalchemy.Boolean, nullable=False),
    sqlalchemy.Column("is_counted", sqlalchemy.Boolean, nullable=False),
    sqlalchemy.Index("search_finished_place", "study_id", "place"),
)
SCORED = "score IS NOT NULL AND NOT is_outside"
columns.partial("search_finished_best", SCORED, finished, "study_id", "score", "place", "trial_id")
columns.partial("search_finished_counted", "is_counted", finished, "study_id", "place", "trial_id")
notices = outboxes.notices
# On Optuna's table: whoever holds the study's lock looks at a few rows, however many trials there are.
INDEXES = (
    "CREATE INDEX IF NOT EXISTS search_trials_state ON trials (study_id, state, trial_id)",
    "CREATE INDEX IF NOT EXISTS search_trials_number ON trials (study_id, number)",
)

# The version of these tables, of alembic's kind.
version = sqlalchemy.Table(
    "search_version", ours, sqlalchemy.Column("version_num", sqlalchemy.String(32), primary_key=True)
)
HEAD = "0008"
