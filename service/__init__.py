"""The sampling service. `from service import NegativeSampler` in a checkout gives what `negsift` has."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from negsift import NegativeSampler, attach

__all__ = ["NegativeSampler", "attach"]


def __getattr__(name: str) -> object:
    """A public name of negsift's."""
    import negsift

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(negsift, name)
