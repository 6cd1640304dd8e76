"""Places to write to, caches and initial weights that can't be used."""

from pathlib import Path

from tests.end_to_end.bad_inputs.case import BAD_NAMES, Case, Make, both, case, not_files, written  # fmt: skip
from tests.end_to_end.bad_inputs.data_folders import _CLIP, _CLIPS, _images, _png

_IMAGES = _images(*(_png(16 + number) for number in range(3)))


def _sealed(name: str) -> Make:
    return lambda: Path(name).mkdir(mode=0o500)


CASES: dict[str, Case] = {
    **{f"out is {kind}": case("train digits --out out", r"\bout\b", make) for kind, make in not_files("out") if kind != "folder"},
    **{f"out below {kind}": case("train digits --out out/a/b", r"\bout\b", make) for kind, make in (*not_files("out"), ("a file", written("out", ""))) if kind != "folder"},
    **{f"out has {kind}": Case(("train", "digits", "--out", name), "found ") for kind, name in BAD_NAMES.items()},
    **{f"out has {kind} below": Case(("train", "digits", "--out", f"a/{name}/b"), "found ") for kind, name in BAD_NAMES.items()},
    "out is sealed": case("train digits --out out", r"\bout\b.*not writable", _sealed("out"), unprivileged=True),
    "out is below a sealed folder": case("train digits --out out/a", r"\bout\b.*not writable", _sealed("out"), unprivileged=True),
    "out holds other folders": case("train digits --out out", "the folders a in", lambda: Path("out/a").mkdir(parents=True)),
    "the report's name is taken": case("report run", "report.html", both(written("run/config.json", '{"strategy": {"name": "random"}, "seed": 0, "data": {}}'),
                                                                        lambda: Path("run/report.html").mkdir())),
    "the report's folder is sealed": case("report run", "report.html.*not writable", both(written("run/config.json", '{"strategy": {"name": "random"}, "seed": 0, "data": {}}'),
                                          lambda: Path("run").chmod(0o500)), unprivileged=True),
    **{f"images, the cache is {kind}": case("train images data.root=in data.target=a data.bag_size=1 data.image_size=16", "cache.*NEGSIFT_CACHE",
                                            both(_IMAGES, make), env={"NEGSIFT_CACHE": "cache"}, unprivileged=True)
       for kind, make in (*not_files("cache"), ("a file", written("cache", "")), ("sealed", _sealed("cache"))) if kind != "folder"},
    **{f"a sweep's folder is {place}": case(f"sweep digits --over seed=0 --out {place}", "not a folder", written("file", ""))
       for place in ("file", "file/x", "/proc/self/status", "/dev/null")},
    **{f"clips, the cache is {kind}": case(f"{_CLIPS} data.target=/m/high", "cache.*NEGSIFT_CACHE", both(_CLIP, make), env={"NEGSIFT_CACHE": "cache"}, unprivileged=True)
       for kind, make in (*not_files("cache"), ("a file", written("cache", "")), ("sealed", _sealed("cache"))) if kind != "folder"},
    **{f"the demo's clips, the cache is {kind}": case("train audio-demo", "cache.*NEGSIFT_CACHE", make, env={"NEGSIFT_CACHE": "cache"}, unprivileged=True)
       for kind, make in (*not_files("cache"), ("a file", written("cache", "")), ("sealed", _sealed("cache"))) if kind != "folder"},
    "the demo's clips below a file": case("train audio-demo data.root=a/b", r"a/b", written("a", "")),
    "the demo's clips in a sealed folder": case("train audio-demo data.root=a/b", r"a/b", _sealed("a"), unprivileged=True),
    **{f"a cache with {kind}": case("train images data.root=in data.target=a data.bag_size=1 data.image_size=16", "NEGSIFT_CACHE", _IMAGES, env={"NEGSIFT_CACHE": name})
       for kind, name in BAD_NAMES.items() if "NUL" not in kind},
}  # fmt: skip
