"""`negsift dashboard`: where a cluster can be watched."""

import argparse

from negsift.deploy.settings import Parser
from negsift.service.cluster.address import require_address


def add_dashboard_command(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the command to those of the command line."""
    command = commands.add_parser("dashboard", help="the addresses at which the cluster in RAY_ADDRESS is watched")
    command.set_defaults(do=_dashboard)


def _dashboard(arguments: argparse.Namespace) -> None:
    require_address("its dashboard")
    from negsift.service.cluster.connect import connect
    from negsift.service.cluster.watching import places

    connect()
    print("\n".join(f"{what}: {where}" for what, where in places().items()))
