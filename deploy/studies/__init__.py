"""Studies: sweeps that answer a question of the paper, each a function that can be read in a minute."""

import inspect
from collections.abc import Callable
from dataclasses import replace

from negsift.common.errors import UnknownName
from negsift.deploy.recipes import RECIPES
from negsift.deploy.studies.beyond import beyond
from negsift.deploy.studies.beyond_audio import beyond_audio
from negsift.deploy.studies.beyond_fresh import beyond_fresh
from negsift.deploy.studies.claims import claims
from negsift.deploy.studies.figure1 import figure1, figure1_rehearsal
from negsift.deploy.studies.table1 import table1
from negsift.deploy.sweep.study import Study

STUDIES: dict[str, Callable[[], Study]] = {
    "table1": table1, "figure1": figure1, "figure1-rehearsal": figure1_rehearsal, "claims": claims,
    "beyond": beyond, "beyond-fresh": beyond_fresh, "beyond-audio": beyond_audio,
}  # fmt: skip


def study_named(name: str) -> Study:
    """The study called `name`, or the study of a recipe, which has one trial. Raises UnknownName."""
    if name in STUDIES:
        return replace(STUDIES[name](), rules=inspect.getdoc(STUDIES[name]) or "")
    if name not in RECIPES:
        raise UnknownName("recipe or study", name, [*STUDIES, *RECIPES])
    return Study(name, RECIPES[name](), [{}], seeds=1)
