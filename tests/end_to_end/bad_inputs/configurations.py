"""Files of `--config` of every wrong shape, and things that are no files."""

from pathlib import Path

from tests.end_to_end.bad_inputs.case import (
    BAD_NAMES,
    DEEP_OBJECT,
    HUGE_NUMBER,
    NESTED,
    NOT_UTF8,
    Case,
    both,
    case,
    no_texts,
    not_files,
    written,
)  # fmt: skip

_COMMANDS = {"train": "train digits", "up": "serve up out", "build": "pool build out --from in"}
_JSON = {
    "cut short": '{"seed": ', "a list": "[1]", "a number": "1", "null": "null", "a text": '"seed"', "two values": "{}{}",
    "a comma too many": '{"seed": 1,}', "single quotes": "{'seed': 1}", "a comment": '{"seed": 1} // one',
    "deep lists": NESTED, "deep objects": DEEP_OBJECT, "deep lists as a value": f'{{"seed": {NESTED}}}',
    "a digit too many": HUGE_NUMBER, "an unknown key": '{"sead": 1}', "an empty key": '{"": 1}', "a dotted key": '{"data.name": 1}',
}  # fmt: skip
_TOML = {
    "cut short": "seed = ", "JSON": '{"seed": 1}', "a key twice": "seed = 1\nseed = 2", "a table twice": "[data]\n[data]",
    "an open bracket": "[data", "deep": f"seed = {NESTED}", "an unknown key": "sead = 1", "a date": "seed = 2020-01-01",
    "an open text": 'seed = "1', "a bad escape": r'seed = "\q"', "nan": "seed = nan", "a dotted text": 'data.name = "x"\n[data]',
}  # fmt: skip
_VALUES = {
    "seed": ("null", '"1"', "1.0", "[1]", "{}", "true", "NaN", '{"a": 1}'), "data": ("null", "1", "[]", '"x"', "true"),
    "strategy": ("[]", '{"name": 1}', '{"name": null}', '{"name": []}', '{"nmae": "badge"}', '{"name": {}}'),
    "training": ('{"lr": "1"}', '{"lr": NaN}', '{"lr": 1e999}', '{"lr": -1}', '{"lr": true}', '{"epochs": 1.5}', '{"epochs": 0}'),
    "fleet": ('{"scoring": 1}', '{"scoring": {"frozen": 1}}', '{"scoring": {"x": 1}}', '{"shards": []}', '{"gpus_per_shard": NaN}'),
    "recipe": ("null", "1", "[]", '"cifar10"', "{}"),
}  # fmt: skip


def _names(name: str) -> str:
    return f"found .*{name}"


CASES: dict[str, Case] = {
    **{f"JSON {kind}": case("train digits --config a.json", _names(r"a\.json"), written("a.json", text))
       for kind, text in _JSON.items()},
    **{f"TOML {kind}": case("train digits --config a.toml", _names(r"a\.toml"), written("a.toml", text))
       for kind, text in _TOML.items()},
    **{f"{key}: {value}": case("train digits --config a.json", _names(r"a\.json"), written("a.json", f'{{"{key}": {value}}}'))
       for key, values in _VALUES.items() for value in values},
    **{f"{name} with {kind}": case(f"{words} --config a.json", _names(r"a\.json"), make)
       for name, words in _COMMANDS.items() for kind, make in (*not_files("a.json"), *no_texts("a.json"))},
    **{f"{name} without the file": case(f"{words} --config a.json", _names(r"a\.json")) for name, words in _COMMANDS.items()},
    **{f"{kind} as TOML": case("train digits --config a.toml", _names(r"a\.toml"), make)
       for kind, make in (*not_files("a.toml"), *no_texts("a.toml")) if kind != "empty"},
    **{kind: Case(("train", "digits", "--config", name), _names(name[:9].replace("\0", ".+")))
       for kind, name in BAD_NAMES.items()},
    "a name not in UTF-8": Case(("train", "digits", "--config", f"{NOT_UTF8}.json"), r"caf\\.*\.json",
                                written(f"{NOT_UTF8}.json", "[1]")),
    "below a file": case("train digits --config a/b.json", r"a/b\.json", written("a", "")),
    "an empty name": Case(("train", "digits", "--config", ""), "found "),
    "the second of two": case("train digits --config a.json --config b.json", r"b\.json",
                              both(written("a.json", "{}"), written("b.json", "{"))),
    "not readable": case("train digits --config a.json", r"a\.json.*[Pp]ermission",
                         both(written("a.json", "{}"), lambda: Path("a.json").chmod(0)), unprivileged=True),
}  # fmt: skip
