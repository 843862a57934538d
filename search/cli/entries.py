"""The command line's one table: each command, where it is defined, and its line in the help."""

# A command is imported when it is called: `search --help` must not wait for what only some of them need.
COMMANDS = {
    "adopt": (
        "search.cli.imports:adopt",
        "Makes a study of plain Optuna's one of ours: writes its file, and goes on with it by exact counts.",
    ),
    "amend": (
        "search.cli.amendments:amend",
        "Lets a study follow its edited file: budget, sampler, pruning and what is enqueued.",
    ),
    "artifacts": ("search.cli.artifacts:artifacts", "Lists files that trials have kept, or writes them to a folder."),
    "backup": (
        "search.cli.backups:backup",
        "Writes a study into a new FILE, as it is now, workers or not. Any Optuna tool opens it as sqlite:///FILE.",
    ),
    "bench": (
        "search.cli.benches:bench",
        "Measures a training step of our engine beside plain PyTorch and the lab's notebook loop.",
    ),
    "check": (
        "search.cli.checks:check",
        "Counts all rows of a study and compares: the counts that claims rest on, owners, configurations, budget.",
    ),
    "compare": (
        "search.cli.comparisons:compare",
        "Sets studies side by side: their bests with intervals, what they cost, and in which keys their files differ.",
    ),
    "completion": (
        "search.cli.shells:completion",
        "Prints the script that completes commands, options, studies and values in SHELL: bash, zsh or fish.",
    ),
    "confirm": (
        "search.cli.results:confirm",
        "Trains the best configurations again on all training images, with fresh seeds, and tests them once.",
    ),
    "copy": (
        "search.cli.lives:copy",
        "Copies a study under a new name, here or to another storage. Not while workers are at it.",
    ),
    "create": ("search.cli.runs:create", "Creates a study from its file, for workers to come."),
    "dashboard": (
        "search.cli.views:dashboard",
        "Serves optuna-dashboard on all studies, for reading; /metrics for Prometheus, /healthz.",
    ),
    "delete": (
        "search.cli.lives:delete",
        "Deletes a study with all its trials, once it says how much that is and you agree.",
    ),
    "enqueue": (
        "search.cli.queues:enqueue",
        "Queues a configuration to be tried next; what it leaves open is sampled.",
    ),
    "export": (
        "search.cli.exports:export",
        "Trains the best trial again and writes its network as a file, with a card that says how good it is.",
    ),
    "export-trials": (
        "search.cli.trials:export_trials",
        "Writes all trials of a study, any Optuna study's too, as a table or as JSON, workers or not.",
    ),
    "extend": (
        "search.cli.orders:extend",
        "Gives a study more trials, hours or failures to bear, or another end. Workers that run, wait or stay follow.",
    ),
    "fetch": (
        "search.cli.runs:fetch",
        "Puts what a study trains on into the data folder, for workers that reach no network; needs no database.",
    ),
    "fork": (
        "search.cli.imports:fork",
        "Makes the study NEW from STUDY: its file with some keys changed, and its results, imported.",
    ),
    "import": (
        "search.cli.imports:import_",
        "Brings the results of a FILE into a study: told apart, outside the budget, never trained again.",
    ),
    "init": ("search.cli.drafts:init", "Writes the study file of an Optuna objective, from what runs of it suggest."),
    "list": ("search.cli.views:list_studies", "Lists the studies of the storage."),
    "logs": (
        "search.cli.logs:show",
        "Shows what the code of a trial has printed: all of it on the machine that trained it, elsewhere the end.",
    ),
    "notify": (
        "search.cli.notices:notify",
        "Sends what could not be delivered of a study's messages, or a test to each of its addresses.",
    ),
    "pause": (
        "search.cli.orders:pause",
        "Lets no trial begin until `search resume`; workers stay and wait. Running trials are finished.",
    ),
    "predict": (
        "search.cli.exports:predict",
        "Says what a MODEL of `search export` takes images for: PNG or JPEG files, or the test set.",
    ),
    "publish": (
        "search.cli.publications:publish",
        "Brings a study in MLflow, TensorBoard or Weights & Biases to what it is now, each trial once.",
    ),
    "rename": (
        "search.cli.lives:rename",
        "Gives a study another name; trials, budget and settings stay. Not while workers are at it.",
    ),
    "replay": (
        "search.cli.results:replay",
        "Trains trial NUMBER of a study again, stores nothing, and says whether its curve is the same to the last bit.",
    ),
    "report": (
        "search.cli.results:report",
        "Writes a report of studies: a page that needs no network, and the same as Markdown with pictures.",
    ),
    "reproduce": (
        "search.cli.results:reproduce",
        "Repeats the whole lab and writes its report: baseline, five factors, the search, the published trials.",
    ),
    "restore": (
        "search.cli.backups:restore",
        "Puts the study of a backup FILE into the storage, SQLite or Postgres, under its name.",
    ),
    "resume": ("search.cli.orders:resume", "Lets a paused or stopped study go on."),
    "retry": (
        "search.cli.orders:retry",
        "Puts failed trials back, all or those NUMBERed: new trials with their configurations; they count no longer.",
    ),
    "run": ("search.cli.runs:run", "Creates or resumes a study and works on it here until it is finished."),
    "selfcheck": (
        "search.cli.selfchecks:selfcheck",
        "Trains small networks beside float64, and says how much farther from it than plain PyTorch an engine ends.",
    ),
    "simulate": (
        "search.cli.simulations:simulate",
        "Compares samplers and pruners on recorded trainings, in simulated time, beside plain Optuna.",
    ),
    "status": (
        "search.cli.views:status",
        "Shows a study's workers, cost, best and last trials; without a name, every study's.",
    ),
    "stop": (
        "search.cli.orders:stop",
        "Ends a study's workers, wherever they run, once their trials are finished; those that stay, too.",
    ),
    "upgrade": (
        "search.cli.upgrades:upgrade",
        "Brings a storage that an older version made up to date, all or nothing; of a SQLite file it keeps a copy.",
    ),
    "work": (
        "search.cli.runs:work",
        "Works on a study, as one process, until it is finished. Any number may join and leave at any time.",
    ),
}
