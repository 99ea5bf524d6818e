"""The errors that a user can mend. Each message names the key or file, what was found, what is allowed."""


class VjoError(Exception):
    """Base of the errors shown in a line or two, without a traceback, with exit status 2."""


class ConfigError(VjoError):
    """A mistake in the configuration."""


class DataError(VjoError):
    """A mistake in the data set: a missing folder, a broken file, a wrong annotation."""


class CheckpointError(VjoError):
    """A checkpoint that is missing, damaged, or of another network."""


class NumericsError(VjoError):
    """A loss or gradient that is not finite."""
