"""The tables of a sweep: strategies of one setting beside random and the full set."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from negsift.trainer.budget import FORWARDS
from negsift.trainer.report.figure import LineStyle
from negsift.trainer.report.number_texts import NONE, holm_text, interval_text, p_text, signed
from negsift.trainer.report.table import Cell, Row
from negsift.trainer.results.cost import TARGET_SHARE, TimeToTarget
from negsift.trainer.results.strategy import StrategyResults
from negsift.trainer.results.sweep import SettingResults
from negsift.trainer.results.versus import Probabilities, Versus

_EQUAL = 0.01
_SIGNIFICANT = 0.05
_TARGET = f"{TARGET_SHARE:.0%} of the reference's validation AP"


@dataclass(frozen=True)
class SweepColumn:
    """A column: its heading, its tooltip, the text of a strategy's cell, and whether that is marked."""

    name: str
    line: str
    text: Callable[[StrategyResults], str]
    marked: Callable[[StrategyResults], bool] = lambda row: False


def trained_text(row: StrategyResults) -> str:
    """The bags trained on, with the factor to random's if that is not 1."""
    text = row.cost.trained.text(0)
    return f"{text} (×{row.trained_against_random:.2g})" if trains_other_than_random(row) else text


def trains_other_than_random(row: StrategyResults) -> bool:
    """Whether it trains on more or fewer bags than random, by more than 1 %: more or fewer gradient steps."""
    return abs(row.trained_against_random - 1) > _EQUAL


def limit_text(row: StrategyResults) -> str:
    """How far below the full set it may be, and whether that is within the margin."""
    full = row.main.against_full
    if full is None or row.non_inferior is None:
        return NONE
    return f"{signed(full.lower_limit)}{' ✓' if row.non_inferior else ''}"


def _against(text: Callable[[Versus], str], outcome: str = "test.ap") -> Callable[[StrategyResults], str]:
    return lambda row: text(against) if (against := row.outcomes[outcome].against_random) else NONE


def _wins(versus: Versus) -> str:
    return f"{versus.wins.wins} of {versus.wins.wins + versus.wins.losses}"


def _is_different(row: StrategyResults) -> bool:
    against = row.main.against_random
    return against is not None and against.holm.sign_flip <= _SIGNIFICANT


def _is_non_inferior(row: StrategyResults) -> bool:
    return bool(row.non_inferior)


def _reached(text: Callable[[TimeToTarget], str]) -> Callable[[StrategyResults], str]:
    return lambda row: text(row.cost.to_target) if row.cost.to_target.runs else NONE


def _median(value: float, digits: int = 0) -> str:
    return NONE if math.isnan(value) else f"{value:,.{digits}f}"


def _p_columns(title: str, p: Callable[[Versus], Probabilities], smallest: str) -> tuple[SweepColumn, ...]:
    return (
        SweepColumn(
            f"sign-flip {title}", "exact test of paired differences", _against(lambda v: p_text(p(v).sign_flip))
        ),
        SweepColumn(f"Wilcoxon {title}", "signed-rank test, exact", _against(lambda v: p_text(p(v).wilcoxon))),
        SweepColumn(smallest, "the smallest p that so many pairs can give", _against(lambda v: p_text(p(v).smallest))),
    )


def _outcome_columns(name: str, title: str) -> tuple[SweepColumn, ...]:
    return (
        SweepColumn(title, "mean ± standard error over blocks", lambda row: row.outcomes[name].mean.text(3)),
        SweepColumn("above random", "paired by block", _against(lambda v: v.difference.text(3, "+"), name)),
        SweepColumn("Holm p", "sign-flip test, corrected", _against(lambda v: p_text(v.holm.sign_flip), name)),
    )


MAIN_COLUMNS = (
    SweepColumn("test AP", "mean ± standard error over blocks", lambda row: row.main.mean.text(3)),
    SweepColumn("above random", "paired by block", _against(lambda v: v.difference.text(3, "+")), _is_different),
    SweepColumn("95 % interval", "of that difference, BCa bootstrap", _against(lambda v: interval_text(v.interval))),
    SweepColumn("Holm p", "sign-flip test, corrected; in brackets the smallest possible", _against(holm_text)),
    SweepColumn("wins", "sets of bags with a higher mean than random's", _against(_wins)),
    SweepColumn(
        "below full", "one-sided 95 % limit; ✓ within the margin", limit_text, lambda row: bool(row.non_inferior)
    ),
    SweepColumn("trained", "bags of a run; × random's where that differs", trained_text),
    SweepColumn("scored", "bags of a run", lambda row: row.cost.scored.text(0)),
    SweepColumn("seconds", "of a run, with selection", lambda row: row.cost.seconds.text(1)),
)
TEST_COLUMNS = (
    SweepColumn("pairs", "blocks that both have", _against(lambda v: str(v.difference.count))),
    *_p_columns("p", lambda v: v.p, "smallest"),
    *_p_columns("Holm", lambda v: v.holm, "smallest, Holm"),
    SweepColumn("P(improve)", "a run is higher than one of random's", _against(lambda v: f"{v.improvement:.2f}")),
    SweepColumn("wins p", "of wins and losses, binomial", _against(lambda v: p_text(v.wins.p))),
)
OTHER_COLUMNS = (*_outcome_columns("last.ap", "last AP"), *_outcome_columns("test.roc_auc", "test ROC-AUC"))
COST_COLUMNS = (
    SweepColumn("cost", f"bags trained + scored / {FORWARDS}", lambda row: row.cost.equivalent.text(0)),
    SweepColumn("seconds", "with selection", lambda row: row.cost.seconds.text(1)),
    SweepColumn("without", "without selection", lambda row: row.cost.seconds_without_selection.text(1)),
    SweepColumn("to target", f"runs that reached {_TARGET}", _reached(lambda t: f"{t.reached} of {t.runs}")),
    SweepColumn("cost until", "median over runs", _reached(lambda t: _median(t.bags))),
    SweepColumn("seconds until", "median over runs", _reached(lambda t: _median(t.seconds, 1))),
    SweepColumn("trained / full's", "bags, in the same blocks", lambda row: _median(row.trained_against_full, 2)),
)  # fmt: skip


def rows_of(
    setting: SettingResults, columns: Sequence[SweepColumn], styles: Mapping[str, LineStyle]
) -> tuple[Row, ...]:
    """A row a strategy, with how many of its trials are in the means if not all are."""
    return tuple(
        Row(row.arm, styles[row.label], _trials(row), tuple(Cell(c.text(row), c.marked(row)) for c in columns))
        for row in setting.strategies
    )


def data_columns(setting: SettingResults) -> tuple[SweepColumn, ...]:
    """A column a set of bags: test AP over seeds, the best one marked."""
    names = dict.fromkeys(data for row in setting.strategies for data in row.main.by_data)
    return tuple(_data_column(name, setting) for name in names)


def _data_column(name: str, setting: SettingResults) -> SweepColumn:
    means = [row.main.by_data[name] for row in setting.strategies if name in row.main.by_data]
    best = max((mean.mean for mean in means if mean.count), default=math.inf)
    return SweepColumn(
        name, "test AP, mean ± standard error over seeds",
        lambda row: row.main.by_data[name].text(3) if name in row.main.by_data else NONE,
        lambda row: name in row.main.by_data and row.main.by_data[name].mean >= best,
    )  # fmt: skip


def _trials(row: StrategyResults) -> str:
    total = sum(row.trials.values())
    finished = row.trials["finished"]
    return f"{finished} runs" if finished == total else f"{finished} of {total} runs"
