"""Words that fit no command: missing, unknown, repeated, of another command."""

from tests.end_to_end.bad_inputs.case import BAD_NAMES, NOT_UTF8, Case, case, written

_UNKNOWN = ["trian", "Train", "pool-build", "-x", "--config", "é", "../train", "x" * 5000, NOT_UTF8, "\0"]
_FIRST = {
    "demo": "demo", "list": "list", "train": "train digits", "report": "report runs", "build": "pool build out --from in",
    "inspect": "pool inspect out", "up": "serve up out", "status": "serve status", "down": "serve down",
}  # fmt: skip
_MISSING = ["", "train", "report", "pool", "pool build", "pool build out", "pool build --from in", "pool inspect"]
_MISSING += ["serve", "serve up", "train --out", "train digits --out", "train digits --config", "train digits --set"]
_MISSING += ["pool build out --from", "serve up out --name", "serve up out --shards", "serve up out --idle-minutes"]
_TOO_MANY = {"list": "list keys models", "report": "report a b", "demo": "demo a", "inspect": "pool inspect a b"}
_TOO_MANY |= {"status": "serve status a b", "down": "serve down a b", "build": "pool build a b --from c"}
_VALUES = {"demo": "demo", "train": "train digits", "report": "report x", "build": "pool build out --from in --append"}
_NOT_SETTINGS = [
    "seed",
    "=",
    "=1",
    "==",
    "seed:1",
    "seed==1",
    "a.b",
    "a..b=1",
    ".seed=1",
    "seed.=1",
    "SEED=1",
    "séed=1",
]
_NOT_SETTINGS += ["x" * 1000 + "=1", "." * 500 + "=1", f"{NOT_UTF8}=1", "\0=1", "data=1", "data.audio=1", "seed.x=1"]
_KEYS = {"train": "train digits", "build": "pool build out --from in", "up": "serve up out"}

CASES: dict[str, Case] = {
    **{f"no command {word[:9]!r}": Case((word,), r"(argument|option|invalid choice|Illegal|COMMAND)") for word in _UNKNOWN},
    **{f"{name} with an unknown option": case(f"{words} --colour", r"--colour") for name, words in _FIRST.items()},
    **{f"{name} with an option cut short": case(f"{words} --ou x", r"--ou") for name, words in _FIRST.items()},
    **{f"{option} twice": case(f"{words} {option} x {option}=y", rf"arguments that don't fit \({option} 2 times")
       for option, words in (("--from", "pool build out"), ("--out", "train digits"), ("--epoch", "replay run"))},
    "an unknown key of a build": case("pool build out --from in group=1", r"found key 'group'; expected one of \d+ names, such as .*group_mb.*; did you mean 'group_\w+'"),
    "row groups of nothing": case("pool build out --from in.csv group_mb=0", "row groups of 0.0 MiB; expected more than 0 and at most 48", written("in.csv", "bag_id,label,f\na,x,1\n")),
    **{f"too few words: {words}": case(words, r"arguments that don't fit .*--help") for words in _MISSING},
    **{f"too many words: {name}": case(words, r"arguments that don't fit|setting 'b'") for name, words in _TOO_MANY.items()},
    **{f"a value where none is taken: {name}": case(f"{words}=1", r"digits=1|--append|x=1|demo=1")
       for name, words in _VALUES.items()},
    **{f"{name} with the setting {word[:9]!r}": Case((*words.split(), word), r"found (key|setting|seed)")
       for name, words in _KEYS.items() for word in _NOT_SETTINGS},
    **{f"a recipe of {name}": Case(("train", text), "found recipe") for name, text in BAD_NAMES.items()},
    **{f"no recipe {text!r}": Case(("train", text), "found recipe") for text in ("", "Digits", "digits ", NOT_UTF8, "é")},
    **{f"no part {text!r}": Case(("list", text), "part of the list") for text in ("", "Keys", "key", NOT_UTF8, "x" * 999)},
    **{f"shares of GPUs: {value}": case(f"serve up out gpus_per_shard={value}", "gpus_per_shard=") for value in ("1.5", "2.0001", "-0.5")},
    **{f"{name}={value}": case(f"train digits {name}={value}", "bags of .* instances|at most 64 bits|65536|class|data.target|label density")
       for name, value in (("data.bag_size", 10**9), ("data.bag_size", 10**30), ("data.image_size", 10**9), ("data.bag_seed", 10**30),
                           ("data.target", "9" * 5000), ("data.density", f"fixed:{'9' * 5000}"), ("data.density", "range:1-" + "9" * 999))},
    **{f"{key} with {recipe}": case(f"train {recipe} {key}", rf"{key.partition('=')[0]} with {recipe}; expected a setting of that dataset; ")
       for recipe, key in (("digits", "data.root=x"), ("digits", "data.version=1"), ("digits", "data.audio.mels=9"), ("images", "data.download=true"),
                           ("cifar10", "data.version=2"), ("audio-demo", "data.bag_size=9"), ("audio-demo", "data.density=fixed:1"))},
    "a bag size of a table": case("train digits data.name=table data.root=x data.bag_size=9", "data.bag_size with table; .*; cifar10, digits, images read"),
    **{f"sweep {words}": case(f"sweep {words}", message) for words, message in {
        "table1 strategy.name=badge": "strategy.name, in which the trials of table1 differ; .*; give --over strategy.name=…",
        "digits seed=3": "seed, in which the trials of digits differ; .*--seeds", "digits --over data.root=a,b": "data.root with digits",
        "digits data.version=2": "data.version with digits",
    }.items()},
    "append to nothing": case("pool build out --from in --append", "no bag table at .*out; expected one to append to"),
    **{f"idle minutes {text}": case(f"serve up out --idle-minutes {text}", "idle-minutes")
       for text in ("x", "nan", "-1", "1h", "½", "1e999x")},
}  # fmt: skip
