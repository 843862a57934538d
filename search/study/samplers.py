"""The names of samplers, and what each of them cannot do; reading a file loads none of them."""

from search.space import spaces

GRID = "grid"
NAMES = ("tpe", "random", "qmc", "cmaes", "gp", "gp-cost", GRID)
STARTUP_TRIALS = {"tpe": 10}  # by chance before a sampler learns, where the file does not say it
BOUNDING = ("gp-cost",)  # those whose model bounds how far the best trial is from the best there is


def refusal(name: str, tree: spaces.Space, prunes: bool) -> str | None:
    """Why a sampler cannot work on a space, or beside pruning; None where it can."""
    endless = ", ".join(p.name for p in tree.parameters if p.values is None)
    if name == GRID and endless:
        return f"since {endless} is continuous; list its values as choices"
    if name == "cmaes" and prunes:
        return "while [pruning] is on: it learns from complete trials only and would propose what was pruned again"
    if name == "cmaes":
        chosen = [p.name for p in tree.parameters if not p.is_numeric and not p.distribution.single()]
        if chosen:
            return f"since it moves along numbers, and {', '.join(chosen)} has choices"
        if branches := [p.name for p in tree.parameters if p.when]:
            return f"since it needs the same parameters in every trial, and {', '.join(branches)} may not exist"
        if sum(not p.distribution.single() for p in tree.parameters) < 2:
            return "since it needs two parameters or more"
    return None


def regret_refusal(name: str) -> str | None:
    """Why a study with this sampler cannot end at a regret; None where it can."""
    if name in BOUNDING:
        return None
    return f"beside sampler.name {name!r}, which has no model that bounds it; {', '.join(BOUNDING)} has one"
