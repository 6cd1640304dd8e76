"""A user's program: four tasks of the service birds, whose rounds it runs up to each epoch that it reads."""

import sys
from contextlib import ExitStack

from negsift.service import attach
from tests.unit.toys import vector_model

STRATEGIES = ("badge", "entropy", "kl_prob", "random")


def main(name: str) -> None:
    """Run the rounds; a line says that they are done."""
    model, begun = vector_model(), 0
    with ExitStack() as held:
        samplers = [
            held.enter_context(
                attach("birds", model, target_label="bird", strategy=strategy, k=10, task=f"{name}-{strategy}")
            )
            for strategy in STRATEGIES
        ]
        for line in sys.stdin:
            for epoch in range(begun, begun := int(line)):
                for sampler in samplers:
                    sampler.select(model.state_dict(), epoch)
            sys.stdout.write(f"epoch {begun}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
