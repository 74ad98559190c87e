"""The one error that bad input raises, everywhere in the house."""


class InputError(ValueError):
    """Something given to the module is not what it must be.

    The command line prints it as one line and exits with 2; the ROS node logs it and fails its transition.

    Args:
        thing: what is wrong, by name: a file, a parameter, a topic.
        expected: what it should have been.
        found: what it is.
    """

    def __init__(self, thing: object, expected: str, found: str) -> None:
        self.thing = str(thing)
        self.expected = expected
        self.found = found
        super().__init__(f"{self.thing}: expected {expected}, found {found}")

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str, str]]:
        """Survive the trip back from a worker process."""
        return type(self), (self.thing, self.expected, self.found)
