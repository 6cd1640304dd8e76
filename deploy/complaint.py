"""A sentence for the user, raised before anything else of the project could be imported."""


class Complaint(Exception):
    """The message is the whole of it; the command line exits with 2."""
