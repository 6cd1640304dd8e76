"""The studies `beyond-audio` and `beyond-fresh` in pairs, from the trials in `sweeps/`.

    python -m tests.bench.beyond_more

A pair is a class and a seed. Results go to tests/bench/beyond_more.md.
"""

from pathlib import Path

from tests.bench.beyond import TRIALS, Rows, compared, seconds, trials

DATE = "2026-11-28"
AGAINST_FULL = ("full, same tricks", "40 %", "quarter")


def clips(rows: Rows) -> list[str]:
    """The tables of the study on clips."""
    others = sorted(name for name in rows if name.startswith("quarter "))
    chosen = sorted(name for name in rows if name.startswith("quarter, "))
    paper = next(name for name in rows if name.startswith("paper's random"))
    return [
        "### Against the full set", "", *compared(rows, [*AGAINST_FULL, paper], "full"), "",
        "### What each ingredient gives: `audio-quarter` without it", "", *compared(rows, others, "quarter"), "",
        "### Other choices of negatives, at equal cost", "", *compared(rows, chosen, "quarter"),
    ]  # fmt: skip


def images(rows: Rows) -> list[str]:
    """The tables of the second look at classes of images."""
    names = [name for name in rows if name != "full"]
    return [*compared(rows, sorted(names), "full"), "", *seconds(rows, sorted(names))]


def page(audio: Rows, fresh: Rows, date: str) -> str:
    """All tables; those of a study without trials are left out."""
    head = f"""# Beyond the paper, in pairs: clips, and four more classes of images

{date}; `python -m tests.bench.beyond_more`. Test AP of the last weights, so that none is chosen by validation, and in the
last column what the best in validation give; a cost is the bags trained and a third of those scored.
"""
    of_clips = f"""## Clips

{sum(map(len, audio.values()))} trials of `negsift sweep beyond-audio data.root=FOLDER` ([all of them](sweeps/beyond-audio.md)): clips in AudioSet's form,
a small attention CNN, five classes of sound, two seeds: 10 pairs a row.
"""
    of_images = f"""## Four more classes of images

{sum(map(len, fresh.values()))} trials of `negsift sweep beyond-fresh data.root=FOLDER` ([all of them](sweeps/beyond-fresh.md)): CIFAR-10 bags of five,
SimpleCNN, classes 6 to 9, three seeds: 12 pairs a row.
"""
    lines = [head]
    if audio:
        lines += [of_clips, *clips(audio), ""]
    if fresh:
        lines += [of_images, *images(fresh), ""]
    return "\n".join(lines)


def main() -> None:
    """Compare, and write the page."""
    packed = [TRIALS.with_name(f"{name}.tar.gz") for name in ("beyond-audio", "beyond-fresh")]
    audio, fresh = (trials(path) if path.exists() else {} for path in packed)
    Path(__file__).with_suffix(".md").write_text(page(audio, fresh, DATE))


if __name__ == "__main__":
    main()
