"""A strict reader of Dockerfiles: the few instructions that ours has; any other, and any other form, is an error."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FORMS = {
    "ARG": r"(?P<name>[A-Z]+)=(?P<value>\w+)",
    "FROM": r"(?P<image>[\w.:-]+|\$\{\w+\})(?: AS (?P<stage>[a-z]+))?",
    "RUN": r"(?P<mounts>(?:--mount=\S+ )*)(?P<command>[^-\s].*)",
    "USER": r"(?P<user>\d+)",
    "WORKDIR": r"(?P<folder>/\S+)",
    "ENV": r"(?P<variables>[A-Z_]+=\S+(?: [A-Z_]+=\S+)*)",
}


@dataclass(frozen=True)
class Instruction:
    word: str
    parts: dict[str, str]

    @property
    def mounts(self) -> list[dict[str, str]]:
        """The options of each `--mount=…`; those without a value, such as `rw`, are empty."""
        words = self.parts.get("mounts", "").split()
        pairs = [[option.partition("=") for option in word.removeprefix("--mount=").split(",")] for word in words]
        return [{key: value for key, _, value in options} for options in pairs]


@dataclass
class Stage:
    """What `FROM` begins; a stage that builds on another one begins with its instructions."""

    image: str
    instructions: list[Instruction] = field(default_factory=list)


def instructions(path: Path) -> Iterator[Instruction]:
    """Its instructions in order; raises ValueError for a line that is none of the forms above."""
    kept = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    for line in re.sub(r" \\\n\s+", " ", "\n".join(kept)).splitlines():
        word, _, rest = line.partition(" ")
        match = re.fullmatch(_FORMS.get(word, "(?!)"), rest)
        if not match:
            raise ValueError(f"not read: {line}")
        yield Instruction(word, {key: value for key, value in match.groupdict().items() if value is not None})


def image(path: Path, **arguments: str) -> Stage:
    """The last stage, for these build arguments, with all that it is built on."""
    stages: dict[str, Stage] = {}
    last = Stage("")
    for instruction in instructions(path):
        match instruction:
            case Instruction("ARG", {"name": name, "value": value}):
                arguments.setdefault(name, value)
            case Instruction("FROM", {"image": base} as parts):
                base = re.sub(r"\$\{(\w+)\}", lambda name: arguments[name[1]], base)
                below = stages.get(base, Stage(base))
                last = stages[parts.get("stage", "")] = Stage(below.image, [*below.instructions])
            case _:
                last.instructions.append(instruction)
    return last
